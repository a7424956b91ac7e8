// What a schema allows, sorted by kind of value: the alternatives of a place, each a shape with all its keywords merged.
// A place is held to a list of schemas at once (`allOf`, a reference and what stands beside it, two conjuncts that both
// describe a property), so merging is only ever putting lists together, and recursion stays where it is.

import { FORMATS, UNENFORCEABLE_FORMATS } from "./formats.ts";
import { ANY_NUMBER, type NumberShape, numberFits } from "./numbers.ts";
import { PatternError, parsePattern, type Regex } from "./regex.ts";
import {
  follow,
  isObject,
  type JsonSchema,
  type Located,
  listOf,
  locate,
  mapOf,
  refusal,
  refuseUnenforceable,
} from "./schema.ts";
import { ANY_STRING, type StringShape, stringFits } from "./strings.ts";

export const TYPES = ["null", "boolean", "number", "string", "array", "object"] as const;
export type JsonType = (typeof TYPES)[number];

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
  /** The only values, when an `enum` or `const` lists them; each fits the rest of the shape. */
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

const ALTERNATIVES_MAX = 256;

/** The shapes of a place: its value has one of them. None: no value fits. */
export function shapesOf(place: Place): Shape[] {
  const document = place[0]?.document;
  if (document && document.work.left-- <= 0) throw refusal(document.param, "it is too complex to be enforced");
  let alternatives: Alternative[] = [{ flat: [], excluded: [] }];
  for (const located of place) alternatives = both(alternatives, alternativesOf(located, []), located);
  return alternatives.flatMap((alternative) => merge(alternative) ?? []);
}

interface Alternative {
  /** Schemas of which only their own keywords are still to be read. */
  flat: Located[];
  excluded: Exclusion[];
}

/** @param above schemas that led here without a step into the value: meeting one again would never end */
function alternativesOf(at: Located, above: JsonSchema[]): Alternative[] {
  if (at.schema === false) return [];
  if (at.schema === true) return [{ flat: [], excluded: [] }];
  const { schema } = at;
  if (above.includes(schema)) throw refusal(at.path, "it refers to itself without any value in between");
  const inside = [...above, schema];

  let alternatives: Alternative[] = [{ flat: [at], excluded: [] }];
  const join = (more: Alternative[]) => {
    alternatives = both(alternatives, more, at);
  };
  if (schema.$ref !== undefined) join(alternativesOf(follow(at, schema.$ref), inside));
  for (const part of listOf(at, "allOf")) join(alternativesOf(part, inside));
  if (schema.anyOf !== undefined) join(listOf(at, "anyOf").flatMap((branch) => alternativesOf(branch, inside)));
  if (schema.oneOf !== undefined) {
    const branches = listOf(at, "oneOf");
    join(
      branches.flatMap((branch) => {
        const others = branches.filter((other) => other !== branch);
        const excluded = others.map((other) => ({ place: [other], at, keyword: "oneOf" }));
        return alternativesOf(branch, inside).map((one) => ({ ...one, excluded: [...one.excluded, ...excluded] }));
      }),
    );
  }
  if (schema.not !== undefined) {
    const place = [locate(at.document, schema.not, `${at.path}.not`)];
    join([{ flat: [], excluded: [{ place, at, keyword: "not" }] }]);
  }
  return alternatives;
}

function both(left: Alternative[], right: Alternative[], at: Located): Alternative[] {
  if (left.length * right.length > ALTERNATIVES_MAX) {
    throw refusal(at.path, `it comes to more than ${ALTERNATIVES_MAX} alternatives`);
  }
  return left.flatMap((a) =>
    right.map((b) => ({
      // A schema reached twice says the same thing twice.
      flat: [...a.flat, ...b.flat.filter((one) => !a.flat.some((other) => other.schema === one.schema))],
      excluded: [...a.excluded, ...b.excluded],
    })),
  );
}

function merge({ flat, excluded }: Alternative): Shape | null {
  const shape: Shape = {
    types: new Set(TYPES),
    values: null,
    number: { ...ANY_NUMBER, multiplesOf: [] },
    string: { ...ANY_STRING, patterns: [] },
    array: { conjuncts: [], minItems: 0, maxItems: Number.POSITIVE_INFINITY },
    object: {
      conjuncts: [],
      required: new Set(),
      open: false,
      closed: false,
      names: [],
      minProperties: 0,
      maxProperties: Number.POSITIVE_INFINITY,
    },
    sources: flat,
    excluded,
  };
  for (const at of flat) {
    const schema = at.schema as JsonSchema;
    refuseUnknown(at, schema);
    readType(at, schema, shape);
    readNumber(at, schema, shape.number);
    readString(at, schema, shape.string);
    readArray(at, schema, shape.array);
    readObject(at, schema, shape.object);
  }
  for (const at of flat) readValues(at, at.schema as JsonSchema, shape);
  return shape.types.size === 0 || shape.values?.length === 0 ? null : shape;
}

/** Keywords with a meaning that we never enforce. What is neither here nor read anywhere is a remark for readers. */
const UNENFORCEABLE = [
  "then",
  "else",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
  "contains",
  "unevaluatedItems",
  "unevaluatedProperties",
  "$dynamicRef",
  "$recursiveRef",
];

function refuseUnknown(at: Located, schema: JsonSchema): void {
  for (const keyword of UNENFORCEABLE) {
    if (schema[keyword] === undefined) continue;
    if ((keyword === "then" || keyword === "else") && schema.if === undefined) continue;
    refuseUnenforceable(at, keyword);
  }
  if (schema.uniqueItems === true && !(typeof schema.maxItems === "number" && schema.maxItems <= 1)) {
    refuseUnenforceable(at, "uniqueItems");
  }
}

function readType(at: Located, schema: JsonSchema, shape: Shape): void {
  if (schema.type === undefined) return;
  const names = Array.isArray(schema.type) ? schema.type : [schema.type];
  const allowed = new Set<JsonType>();
  for (const name of names) {
    if (name === "integer") allowed.add("number");
    else if (TYPES.includes(name)) allowed.add(name);
    else throw refusal(`${at.path}.type`, "it must be one or several of JSON Schema's seven types");
  }
  if (names.includes("integer") && !names.includes("number")) shape.number.integer = true;
  shape.types = shape.types.intersection(allowed);
}

function readNumber(at: Located, schema: JsonSchema, shape: NumberShape): void {
  const minimum = numberAt(at, "minimum");
  const maximum = numberAt(at, "maximum");
  const above = schema.exclusiveMinimum;
  const below = schema.exclusiveMaximum;
  if (minimum !== undefined) raise(shape, minimum, above === true);
  if (maximum !== undefined) lower(shape, maximum, below === true);
  if (typeof above !== "boolean" && above !== undefined) raise(shape, numberAt(at, "exclusiveMinimum")!, true);
  if (typeof below !== "boolean" && below !== undefined) lower(shape, numberAt(at, "exclusiveMaximum")!, true);
  const multiple = numberAt(at, "multipleOf");
  if (multiple !== undefined) {
    if (multiple <= 0) throw refusal(`${at.path}.multipleOf`, "it must be above 0");
    shape.multiplesOf.push(multiple);
  }
  if (schema.format === "int32" || schema.format === "uint32") {
    raise(shape, schema.format === "int32" ? -(2 ** 31) : 0, false);
    lower(shape, schema.format === "int32" ? 2 ** 31 - 1 : 2 ** 32 - 1, false);
  }
}

function raise(shape: NumberShape, min: number, exclusive: boolean): void {
  if (min < shape.min) return;
  shape.minExclusive = exclusive || (min === shape.min && shape.minExclusive);
  shape.min = min;
}

function lower(shape: NumberShape, max: number, exclusive: boolean): void {
  if (max > shape.max) return;
  shape.maxExclusive = exclusive || (max === shape.max && shape.maxExclusive);
  shape.max = max;
}

function numberAt(at: Located, keyword: string): number | undefined {
  const value = (at.schema as JsonSchema)[keyword];
  if (value === undefined) return undefined;
  if (typeof value === "number") return value;
  throw refusal(`${at.path}.${keyword}`, "it must be a number");
}

function countAt(at: Located, keyword: string, otherwise: number): number {
  const value = numberAt(at, keyword) ?? otherwise;
  if (value === otherwise || (Number.isInteger(value) && value >= 0)) return value;
  throw refusal(`${at.path}.${keyword}`, "it must be an integer from 0");
}

function readString(at: Located, schema: JsonSchema, shape: StringShape): void {
  shape.minLength = Math.max(shape.minLength, countAt(at, "minLength", 0));
  shape.maxLength = Math.min(shape.maxLength, countAt(at, "maxLength", Number.POSITIVE_INFINITY));
  if (schema.pattern !== undefined) {
    if (typeof schema.pattern !== "string") throw refusal(`${at.path}.pattern`, "it must be a string");
    const pattern = patternOf(at, "pattern", schema.pattern);
    if (pattern) shape.patterns.push(pattern);
  }
  if (typeof schema.format === "string") {
    const format = Object.hasOwn(FORMATS, schema.format) ? FORMATS[schema.format] : undefined;
    if (format) shape.patterns.push(patternOf(at, "format", format)!);
    else if (UNENFORCEABLE_FORMATS.has(schema.format)) refuseUnenforceable(at, "format");
  }
}

/** Null when the document is lenient and the pattern is one that we cannot enforce. */
function patternOf(at: Located, keyword: string, source: string): Regex | null {
  try {
    if (source.length > PATTERN_LENGTH_MAX) throw new PatternError(`it has more than ${PATTERN_LENGTH_MAX} characters`);
    return parsePattern(source);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    refuseUnenforceable(at, keyword, `the pattern cannot be enforced: ${error.message}`);
    return null;
  }
}

const PATTERN_LENGTH_MAX = 2_000;

function readArray(at: Located, schema: JsonSchema, shape: ArrayShape): void {
  shape.minItems = Math.max(shape.minItems, countAt(at, "minItems", 0));
  shape.maxItems = Math.min(shape.maxItems, countAt(at, "maxItems", Number.POSITIVE_INFINITY));
  // Before 2020-12 a tuple was an array under `items`, and what follows it `additionalItems`.
  const tuple = Array.isArray(schema.items) ? "items" : "prefixItems";
  const restKeyword = tuple === "items" ? "additionalItems" : "items";
  const rest = schema[restKeyword];
  const prefix = listOf(at, tuple);
  if (prefix.length === 0 && rest === undefined) return;
  shape.conjuncts.push({
    prefix,
    rest: rest === undefined ? null : locate(at.document, rest, `${at.path}.${restKeyword}`),
  });
}

function readObject(at: Located, schema: JsonSchema, shape: ObjectShape): void {
  const properties = mapOf(at, "properties");
  const patterns: [Regex, Located][] = [];
  for (const [source, located] of mapOf(at, "patternProperties")) {
    const pattern = patternOf(at, `patternProperties.${source}`, source);
    if (pattern) patterns.push([pattern, located]);
  }
  const given = schema.additionalProperties;
  const additional = given === undefined ? null : locate(at.document, given, `${at.path}.additionalProperties`);
  if (additional && additional.schema !== false) shape.open = true;
  if (patterns.length > 0) shape.open = true;
  if (schema.properties !== undefined || additional?.schema === false) shape.closed = true;
  if (properties.size > 0 || patterns.length > 0 || additional) {
    shape.conjuncts.push({ properties, patterns, additional });
  }
  if (schema.propertyNames !== undefined) {
    shape.names.push(locate(at.document, schema.propertyNames, `${at.path}.propertyNames`));
  }
  const { required } = schema;
  if (Array.isArray(required)) for (const name of required) shape.required.add(String(name));
  else if (required !== undefined && typeof required !== "boolean") {
    throw refusal(`${at.path}.required`, "it must be an array of property names");
  }
  shape.minProperties = Math.max(shape.minProperties, countAt(at, "minProperties", 0));
  shape.maxProperties = Math.min(shape.maxProperties, countAt(at, "maxProperties", Number.POSITIVE_INFINITY));
}

/** As OpenAI's structured outputs have it. */
const ENUM_MAX = 1_000;

function readValues(at: Located, schema: JsonSchema, shape: Shape): void {
  const lists: unknown[][] = [];
  if (Object.hasOwn(schema, "const")) lists.push([schema.const]);
  if (schema.enum !== undefined) {
    if (!Array.isArray(schema.enum)) throw refusal(`${at.path}.enum`, "it must be an array");
    if (schema.enum.length > ENUM_MAX) throw refusal(`${at.path}.enum`, `it has more than ${ENUM_MAX} values`);
    lists.push(schema.enum);
  }
  for (const list of lists) {
    const before = shape.values;
    const kept = list.filter((value) => (before ? before.some((one) => equal(one, value)) : fits(value, shape)));
    shape.values = kept.filter((value, index) => kept.findIndex((other) => equal(other, value)) === index);
  }
}

/** Whether `value` has one of the shapes of a place, exclusions aside. */
export function fitsPlace(value: unknown, place: Place): boolean {
  return (
    place.length === 0 || shapesOf(place).some((shape) => (shape.values ? among(value, shape) : fits(value, shape)))
  );
}

const among = (value: unknown, shape: Shape) => shape.values!.some((one) => equal(one, value));

/** Whether `value` fits the shape, its list of values and exclusions aside. */
export function fits(value: unknown, shape: Shape): boolean {
  if (!shape.types.has(typeOf(value))) return false;
  if (typeof value === "number") return numberFits(value, shape.number);
  if (typeof value === "string") return stringFits(value, shape.string);
  if (Array.isArray(value)) {
    if (value.length < shape.array.minItems || value.length > shape.array.maxItems) return false;
    return value.every((item, index) => fitsPlace(item, itemPlace(shape.array, index)));
  }
  if (!isObject(value)) return true;
  const names = Object.keys(value);
  if (names.length < shape.object.minProperties || names.length > shape.object.maxProperties) return false;
  if (![...shape.object.required].every((name) => Object.hasOwn(value, name))) return false;
  return names.every(
    (name) => fitsPlace(name, shape.object.names) && fitsPlace(value[name], propertyPlace(shape.object, name)),
  );
}

export function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as JsonType;
}

/** What the item at `index` is held to; beyond every prefix that is the rest. */
export function itemPlace(shape: ArrayShape, index: number): Place {
  return shape.conjuncts.flatMap(({ prefix, rest }) => prefix[index] ?? rest ?? []);
}

/** What the property `name` is held to. */
export function propertyPlace(shape: ObjectShape, name: string): Place {
  return shape.conjuncts.flatMap(({ properties, patterns, additional }) => {
    const own = properties.get(name);
    const matching = patterns.filter(([pattern]) => stringFits(name, { ...ANY_STRING, patterns: [pattern] }));
    const found = [...(own ? [own] : []), ...matching.map(([, located]) => located)];
    return found.length > 0 || !additional ? found : [additional];
  });
}

export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}
