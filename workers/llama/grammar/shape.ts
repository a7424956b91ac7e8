// What a schema allows, sorted by kind of value, with all its keywords merged: one alternative of a place.

import type { NumberShape } from "./numbers.ts";
import type { Regex } from "./regex.ts";
import type { Located } from "./schema.ts";
import type { StringShape } from "./strings.ts";
import type { JsonType } from "./values.ts";

/** A place: everything that its value is held to. Empty: any value. */
export type Place = readonly Located[];

export interface ArrayShape {
  /** One per schema that says something about items. */
  conjuncts: { prefix: Located[]; rest: Located | null }[];
  minItems: number;
  maxItems: number;
}

export interface ObjectShape {
  conjuncts: { properties: Map<string, Located>; patterns: [Regex, Located][]; additional: Located | null }[];
  required: Set<string>;
  /** `additionalProperties` or `patternProperties` stands there: keys that no schema names are meant to be written. */
  open: boolean;
  /** `properties` stands there: without a word about further keys, none are written. */
  closed: boolean;
  /** What keys are held to. */
  names: Located[];
  minProperties: number;
  maxProperties: number;
}

export interface Shape {
  types: Set<JsonType>;
  /** The only values, when an `enum` or `const` lists them. Not all of them need fit the rest of the shape. */
  values: unknown[] | null;
  number: NumberShape;
  string: StringShape;
  array: ArrayShape;
  object: ObjectShape;
  /** The schemas that it comes from, without those that only combine others. */
  sources: Located[];
  /** What must not hold besides: the other branches of `oneOf`, and `not`. */
  excluded: Exclusion[];
}

export interface Exclusion {
  place: Place;
  /** The place and keyword to name when it cannot be enforced. */
  at: Located;
  keyword: string;
}
