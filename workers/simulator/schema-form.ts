// Whether what a caller sent as a JSON schema is one: each keyword that the simulator reads has the type it must have.

import type { Schema } from "./schema.ts";

/** True for a schema whose keywords are of the right types; what they come to together is another question. */
export function isSchema(value: unknown): value is Schema {
  if (typeof value === "boolean") return true;
  if (!isObject(value)) return false;
  return Object.entries(value).every(([key, part]) => !Object.hasOwn(FORMS, key) || FORMS[key]!(part));
}

type Form = (value: unknown) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isString: Form = (value) => typeof value === "string";
const isNumber: Form = (value) => typeof value === "number";
const isCount: Form = (value) => Number.isInteger(value) && (value as number) >= 0;
const listOf =
  (form: Form): Form =>
  (value) =>
    Array.isArray(value) && value.every(form);
const someOf =
  (form: Form): Form =>
  (value) =>
    listOf(form)(value) && (value as unknown[]).length > 0;
const mapOf =
  (form: Form): Form =>
  (value) =>
    isObject(value) && Object.values(value).every(form);

const FORMS: Record<string, Form> = {
  $ref: isString,
  type: (value) => isString(value) || listOf(isString)(value),
  enum: (value) => Array.isArray(value),
  required: listOf(isString),
  dependentRequired: mapOf(listOf(isString)),
  pattern: isString,
  format: isString,
  items: (value) => isSchema(value) || listOf(isSchema)(value),
  ...Object.fromEntries(["anyOf", "oneOf", "allOf", "prefixItems"].map((key) => [key, someOf(isSchema)])),
  ...Object.fromEntries(
    ["properties", "patternProperties", "$defs", "definitions"].map((key) => [key, mapOf(isSchema)]),
  ),
  ...Object.fromEntries(
    ["if", "then", "else", "not", "contains", "additionalProperties", "propertyNames"].map((key) => [key, isSchema]),
  ),
  ...Object.fromEntries(
    ["minProperties", "maxProperties", "minItems", "maxItems", "minLength", "maxLength"].map((key) => [key, isCount]),
  ),
  ...Object.fromEntries(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map((key) => [key, isNumber])),
  multipleOf: (value) => isNumber(value) && (value as number) > 0,
};
