// Whether two shapes have no value in common, as far as that can be told from types, listed values, ranges and required
// properties. `oneOf` and `not` are enforced where this holds: a grammar can say what may be written, not what may not.

import type { Place, Shape } from "./shape.ts";
import { fits, fitsPlace, itemPlace, propertyPlace, shapesOf } from "./shapes.ts";
import type { JsonType } from "./values.ts";

/** Property inside property: discriminators stand near the top. */
const DEPTH_MAX = 3;

/** True when nothing that is written for `shape` fits `place`. False: not known. */
export function isApart(shape: Shape, place: Place, depth = DEPTH_MAX): boolean {
  if (shape.values) return shape.values.every((value) => !fits(value, shape) || !fitsPlace(value, place));
  if (depth === 0) return false;
  return shapesOf(place).every((other) => {
    if (other.values) return other.values.every((value) => !fits(value, other) || !fits(value, shape));
    return [...shape.types].every((type) => !other.types.has(type) || COMPARE[type](shape, other, depth));
  });
}

const COMPARE: Record<JsonType, (shape: Shape, other: Shape, depth: number) => boolean> = {
  null: () => false,
  boolean: () => false,
  number: ({ number: a }, { number: b }) => isBelow(a, b) || isBelow(b, a),
  string: ({ string: a }, { string: b }) => a.maxLength < b.minLength || b.maxLength < a.minLength,
  array: areArraysApart,
  object: areObjectsApart,
};

function isBelow(a: Shape["number"], b: Shape["number"]): boolean {
  return a.max < b.min || (a.max === b.min && (a.maxExclusive || b.minExclusive));
}

function areArraysApart({ array: a }: Shape, { array: b }: Shape, depth: number): boolean {
  if (a.maxItems < b.minItems || b.maxItems < a.minItems) return true;
  if (a.minItems === 0) return false;
  return arePlacesApart(itemPlace(a, 0), itemPlace(b, 0), depth);
}

function areObjectsApart({ object: a }: Shape, { object: b }: Shape, depth: number): boolean {
  const missing = [...b.required].some((name) => !isWritten(a, name));
  if (missing) return true;
  return [...a.required].some((name) => {
    const other = propertyPlace(b, name);
    if (other.length === 0) return false;
    if (shapesOf(other).length === 0) return true;
    return b.required.has(name) && arePlacesApart(propertyPlace(a, name), other, depth);
  });
}

/** Whether an object of this shape, as we write it, may hold the key. */
function isWritten(shape: Shape["object"], name: string): boolean {
  if (shape.open || !shape.closed || shape.required.has(name)) return true;
  return shape.conjuncts.some(({ properties }) => properties.has(name));
}

function arePlacesApart(place: Place, other: Place, depth: number): boolean {
  return place.length > 0 && shapesOf(place).every((shape) => isApart(shape, other, depth - 1));
}
