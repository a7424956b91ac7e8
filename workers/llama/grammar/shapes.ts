// From the schemas of a place to its alternatives, each a shape with all its keywords merged. A place is held to a list of
// schemas at once (`allOf`, a reference and what stands beside it, two conjuncts that both describe a property), so merging
// is only ever putting lists together, and recursion stays where it is.

import { readKeywords } from "./keywords.ts";
import { ANY_NUMBER, numberFits } from "./numbers.ts";
import { follow, type JsonSchema, type Located, listOf, locate, refusal } from "./schema.ts";
import type { ArrayShape, Exclusion, ObjectShape, Place, Shape } from "./shape.ts";
import { ANY_STRING, stringFits } from "./strings.ts";
import { equal, isObject, TYPES, typeOf } from "./values.ts";

const ALTERNATIVES_MAX = 256;

/** The shapes of a place: its value has one of them. None: no value fits. */
export function shapesOf(place: Place): Shape[] {
  const first = place[0];
  if (first) chargeWork(first);
  let alternatives: Alternative[] = [{ flat: [], excluded: [] }];
  for (const located of place) alternatives = both(alternatives, alternativesOf(located, []), located);
  return alternatives.flatMap((alternative) => merge(alternative) ?? []);
}

function chargeWork({ document }: Located): void {
  if (document.work.left-- <= 0) throw refusal(document.param, "it is too complex to be enforced");
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
  // References to references double with every step, in a schema of a few lines.
  chargeWork(at);
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
    readKeywords(at, shape);
  }
  return shape.types.size === 0 || shape.values?.length === 0 ? null : shape;
}

/** Whether `value` has one of the shapes of a place, exclusions aside. */
export function fitsPlace(value: unknown, place: Place): boolean {
  return place.length === 0 || shapesOf(place).some((shape) => fits(value, shape));
}

/** Whether `value` fits the shape, exclusions aside. */
export function fits(value: unknown, shape: Shape): boolean {
  if (!shape.types.has(typeOf(value))) return false;
  if (shape.values && !shape.values.some((one) => equal(one, value))) return false;
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
