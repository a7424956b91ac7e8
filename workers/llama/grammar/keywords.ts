// Reads the keywords of one schema into the shape of its place, which other schemas have had a hand in too: every
// keyword narrows what is there.

import { FORMATS, UNENFORCEABLE_FORMATS } from "./formats.ts";
import type { NumberShape } from "./numbers.ts";
import { PatternError, parsePattern, type Regex } from "./regex.ts";
import { type JsonSchema, type Located, listOf, locate, mapOf, refusal, refuseUnenforceable } from "./schema.ts";
import type { ArrayShape, ObjectShape, Shape } from "./shape.ts";
import type { StringShape } from "./strings.ts";
import { equal, type JsonType, TYPES } from "./values.ts";

/** @throws ApiError for what cannot be enforced and for what is no schema */
export function readKeywords(at: Located, shape: Shape): void {
  const schema = at.schema as JsonSchema;
  refuseUnknown(at, schema);
  readType(at, schema, shape);
  readNumber(at, schema, shape.number);
  readString(at, schema, shape.string);
  readArray(at, schema, shape.array);
  readObject(at, schema, shape.object);
  readValues(at, schema, shape);
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
    const kept = list.filter((value) => before === null || before.some((one) => equal(one, value)));
    shape.values = kept.filter((value, index) => kept.findIndex((other) => equal(other, value)) === index);
  }
}
