// JSON Schemas as far as made-up values need them: their keywords, references, and two of them as one.

export type Schema = boolean | JsonSchema;
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  if?: Schema;
  then?: Schema;
  else?: Schema;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: Schema;
  required?: string[];
  dependentRequired?: Record<string, string[]>;
  minProperties?: number;
  maxProperties?: number;
  propertyNames?: Schema;
  items?: Schema | Schema[];
  prefixItems?: Schema[];
  contains?: Schema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
}

export function asObject(schema: Schema): JsonSchema {
  return typeof schema === "object" ? schema : {};
}

/** How far a branch is from ending: nothing, a scalar, an array, an object, a reference. */
export function weightOf(schema: Schema): number {
  if (typeof schema !== "object") return 5;
  if (schema.$ref !== undefined) return 4;
  const type = typeof schema.type === "string" ? schema.type : (schema.type?.[0] ?? guessType(schema));
  return { null: 0, array: 2, object: 3 }[type] ?? 1;
}

export function guessType(schema: JsonSchema): string {
  if (schema.properties || schema.required || schema.minProperties !== undefined || schema.patternProperties)
    return "object";
  if (schema.items !== undefined || schema.prefixItems || schema.minItems !== undefined || schema.contains)
    return "array";
  if (schema.minimum !== undefined || schema.maximum !== undefined || schema.multipleOf !== undefined) return "number";
  if (schema.exclusiveMinimum !== undefined || schema.exclusiveMaximum !== undefined) return "number";
  return "string";
}

/** What a reference within the document names; undefined for one to another document or to nothing. */
export function lookUp(root: Schema, ref: string): Schema | undefined {
  if (!ref.startsWith("#")) return undefined;
  let found: unknown = root;
  for (const part of ref.slice(1).split("/").slice(1)) {
    const key = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return typeof found === "object" || typeof found === "boolean" ? (found as Schema) : undefined;
}

/** A `%` that begins no escape stands for itself. */
function decoded(part: string): string {
  return part.replace(/(?:%[\da-f]{2})+/gi, (bytes) => Buffer.from(bytes.replaceAll("%", ""), "hex").toString());
}

/** What satisfies both, as far as keywords can say it together; the validator checks the rest. */
export function mergeSchemas(a: JsonSchema, b: JsonSchema): JsonSchema {
  const merged: JsonSchema = { ...a, ...b };
  const both = <K extends keyof JsonSchema>(
    key: K,
    join: (x: NonNullable<JsonSchema[K]>, y: NonNullable<JsonSchema[K]>) => JsonSchema[K],
  ) => {
    const [x, y] = [a[key], b[key]];
    if (x !== undefined && y !== undefined)
      merged[key] = join(x as NonNullable<JsonSchema[K]>, y as NonNullable<JsonSchema[K]>);
  };
  const larger = (x: number, y: number) => Math.max(x, y);
  const smaller = (x: number, y: number) => Math.min(x, y);
  for (const key of ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"] as const)
    both(key, larger);
  for (const key of ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"] as const)
    both(key, smaller);
  both("required", (x, y) => [...new Set([...x, ...y])]);
  both("enum", (x, y) => x.filter((value) => y.some((other) => JSON.stringify(other) === JSON.stringify(value))));
  both("type", (x, y) => commonTypes([x].flat(), [y].flat()));
  both("properties", mergeProperties);
  both("items", (x, y) => (Array.isArray(x) || Array.isArray(y) ? x : { allOf: [x, y] }));
  both("additionalProperties", (x, y) =>
    x === true ? y : y === true ? x : x === false || y === false ? false : { allOf: [x, y] },
  );
  both("patternProperties", mergeProperties);
  return merged;
}

function mergeProperties(x: Record<string, Schema>, y: Record<string, Schema>): Record<string, Schema> {
  const merged = { ...x, ...y };
  for (const key of Object.keys(x)) if (Object.hasOwn(y, key)) merged[key] = { allOf: [x[key]!, y[key]!] };
  return merged;
}

function commonTypes(a: string[], b: string[]): string[] {
  return a.flatMap((type) => {
    if (b.includes(type)) return [type];
    const isWhole = (type === "number" && b.includes("integer")) || (type === "integer" && b.includes("number"));
    return isWhole ? ["integer"] : [];
  });
}
