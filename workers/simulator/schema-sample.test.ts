import { expect, test } from "bun:test";
import Ajv from "ajv/dist/2020";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { createRandom } from "./random.ts";
import type { JsonSchema, Schema } from "./schema.ts";
import { isSchema } from "./schema-form.ts";
import { sampleSchema } from "./schema-sample.ts";

// A second opinion: the sampler's own validator is another library.
const ajv = new Ajv({ strict: false, validateFormats: true });
addFormats(ajv);

const sample = (schema: Schema, seed = 1) =>
  sampleSchema(schema, { random: createRandom(seed), extent: "all", suggest: () => undefined });

function expectValid(schema: Schema, seeds = 20): void {
  const validate = ajv.compile(schema);
  for (let seed = 0; seed < seeds; seed++) {
    const value = sample(schema, seed);
    expect({ value, valid: validate(value), errors: validate.errors }).toEqual({ value, valid: true, errors: null });
  }
}

const object = (properties: Record<string, Schema>, more: JsonSchema = {}): JsonSchema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});

const leaf: fc.Arbitrary<JsonSchema> = fc.oneof(
  fc.record({ const: fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)) }),
  fc.record({ enum: fc.array(fc.oneof(fc.string(), fc.integer()), { minLength: 1, maxLength: 4 }) }),
  fc.tuple(fc.nat(30), fc.nat(30)).map(([min, more]) => ({ type: "string", minLength: min, maxLength: min + more })),
  fc
    .constantFrom(
      "date-time",
      "date",
      "time",
      "duration",
      "email",
      "hostname",
      "ipv4",
      "ipv6",
      "uuid",
      "uri",
      "uri-reference",
      "json-pointer",
      "regex",
    )
    .map((format) => ({ type: "string", format })),
  fc
    .constantFrom(
      "^[A-Z]{2,3}-\\d{4}$",
      "^(red|green|blue)$",
      "^\\+?\\d{1,3}[ -]?\\d{6,12}$",
      "^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$",
      "^#(?:[0-9a-fA-F]{3}){1,2}$",
      "[aeiou]+",
      "^\\w+(-\\w+)*$",
      "^v\\d+\\.\\d+\\.\\d+(?:-(?<tag>alpha|beta))?$",
    )
    .map((pattern) => ({ type: "string", pattern })),
  fc
    .tuple(fc.integer({ min: -1000, max: 1000 }), fc.nat(50))
    .map(([minimum, more]) => ({ type: "integer", minimum, maximum: minimum + more })),
  fc
    .tuple(fc.integer({ min: -10, max: 10 }), fc.nat(5))
    .map(([low, more]) => ({ type: "number", exclusiveMinimum: low, exclusiveMaximum: low + 1 + more })),
  fc.constantFrom(0.01, 0.1, 0.25, 3, 7).map((multipleOf) => ({ type: "number", multipleOf, minimum: 1 })),
  fc.constantFrom<JsonSchema>(
    { type: "boolean" },
    { type: "null" },
    { type: ["string", "null"] },
    {},
    { type: "number" },
  ),
);

const { schema: anySchema } = fc.letrec<{ schema: JsonSchema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    leaf,
    fc
      .tuple(fc.dictionary(fc.string({ minLength: 1 }), tie("schema"), { maxKeys: 4 }), fc.boolean())
      .map(([properties, strict]) => object(properties, strict ? {} : { required: [], additionalProperties: true })),
    fc
      .tuple(tie("schema"), fc.nat(3), fc.nat(3))
      .map(([items, min, more]) => ({ type: "array", items, minItems: min, maxItems: min + more })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc
      .array(tie("schema"), { minLength: 1, maxLength: 3 })
      .map((prefixItems) => ({ type: "array", prefixItems, items: false, minItems: 1 })),
  ),
}));

test("whatever the schema of these keywords, the value is valid, and the same for the same seed", () => {
  fc.assert(
    fc.property(anySchema, fc.nat(), (schema, seed) => {
      const value = sample(schema, seed);
      const validate = ajv.compile(schema);
      expect(validate(value) || JSON.stringify(validate.errors)).toBe(true);
      expect(sample(schema, seed)).toEqual(value);
    }),
    { numRuns: 300 },
  );
});

test("a schema that refers to itself ends", () => {
  expectValid({
    $ref: "#/$defs/node",
    $defs: {
      node: object({
        name: { type: "string" },
        children: { type: "array", items: { $ref: "#/$defs/node" } },
        parent: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
      }),
    },
  } as JsonSchema);
  expectValid(object({ value: { type: "integer" }, next: { anyOf: [{ $ref: "#" }, { type: "null" }] } } as never));
});

test("alternatives, conjunctions and conditions hold together", () => {
  expectValid({ oneOf: [object({ kind: { const: "a" }, x: { type: "integer" } }), object({ kind: { const: "b" } })] });
  expectValid({
    allOf: [
      object({ a: { type: "string" } }, { additionalProperties: true }),
      { properties: { b: { type: "integer", minimum: 5 } }, required: ["b"] },
    ],
  });
  expectValid({
    ...object({ country: { enum: ["US", "NL"] }, code: { type: "string" } }),
    if: { properties: { country: { const: "US" } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { properties: { code: { pattern: "^\\d{5}$" } } },
    else: { properties: { code: { pattern: "^\\d{4} [A-Z]{2}$" } } },
  });
  expectValid({ type: "array", items: { type: "integer", minimum: 0, maximum: 9 }, minItems: 5, uniqueItems: true });
  expectValid({ type: "array", items: { type: "integer" }, contains: { const: 7 } });
  expectValid({ type: "object", minProperties: 3, additionalProperties: { type: "number" } });
  expectValid({
    type: "object",
    minProperties: 2,
    patternProperties: { "^x_[a-z]{3}$": { type: "boolean" } },
    additionalProperties: false,
  });
  expectValid(
    object(
      { a: { type: "integer" } },
      { properties: { a: { type: "integer" }, b: { type: "null" } }, dependentRequired: { a: ["b"] } },
    ),
  );
  expectValid({ not: { type: "string" }, type: ["string", "integer"] } as JsonSchema);
});

test("what no value can meet, or no answer can hold, has no value", () => {
  expect(sample(false)).toBeUndefined();
  expect(sample({ type: "integer", minimum: 5, maximum: 4 })).toBeUndefined();
  expect(sample({ type: "string", pattern: "(" })).toBeUndefined();
  expect(sample({ $ref: "https://example.com/other" })).toBeUndefined();
  expect(sample(object({ me: { $ref: "#" } }))).toBeUndefined();
  expect(sample({ type: "array", minItems: 1_000_000_000, items: { type: "null" } })).toBeUndefined();
  expect(sample({ type: "string", minLength: 1_000_000_000 })).toBeUndefined();
  expect(sample({ allOf: [{ $ref: "#" }] })).toBeUndefined();
  expect(sample({ anyOf: [{ $ref: "#" }, { type: "string" }] })).toBeUndefined();
});

test("a property may have any name", () => {
  const schema = { type: "object", properties: JSON.parse('{"__proto__":{"const":1}}'), required: ["__proto__"] };
  expect(JSON.stringify(sample(schema as JsonSchema))).toBe('{"__proto__":1}');
});

test("any JSON in place of a schema gives a value, none, or is told apart, and nothing breaks", () => {
  const keywords = [
    "type",
    "enum",
    "anyOf",
    "properties",
    "required",
    "items",
    "minItems",
    "pattern",
    "$ref",
    "minimum",
    "multipleOf",
    "allOf",
    "if",
    "then",
  ];
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom<unknown>("object", "string", "#", "#/%", ["x"], [{}], { x: {} }, 1, -1),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keywords), value, { maxKeys: 4 }), (schema) => {
      const any: unknown = schema;
      if (isSchema(any)) sample(any);
      else expect(any).not.toEqual({});
    }),
    { numRuns: 2000 },
  );
});
