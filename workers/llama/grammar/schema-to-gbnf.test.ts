// Whatever a grammar made from a schema allows is held to that schema by an independent validator.

import { expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import Ajv from "ajv/dist/2020";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { createGrammar } from "./gbnf.ts";
import { chance, createSampler } from "./sample.ts";
import { argumentsExpr, schemaExpr } from "./schema-to-gbnf.ts";

const PARAM = "response_format.json_schema.schema";

function gbnfOf(schema: unknown, lenient = false): string | null {
  const grammar = createGrammar();
  return grammar.print(schemaExpr(grammar, schema, PARAM, lenient));
}

const ajv = addFormats(new Ajv({ strict: false }));

function expectValid(schema: unknown, seed: number, count: number, lenient = false): string[] {
  const gbnf = gbnfOf(schema, lenient);
  expect(gbnf).not.toBeNull();
  const sample = createSampler(gbnf!, chance(seed));
  const valid = ajv.compile(schema as object);
  return Array.from({ length: count }, () => {
    const text = sample();
    if (!valid(JSON.parse(text))) throw new Error(`${JSON.stringify(schema)} does not allow ${text}`);
    return text;
  });
}

const name = fc.constantFrom("a", "ab", "b", "naïve", 'quo"te', "x y", "");
const word = fc.oneof(fc.string({ unit: "binary", maxLength: 4 }), fc.constantFrom("red", "\u0000", "\ud83d\ude00"));
const bound = fc.oneof(
  fc.integer({ min: -2000, max: 2000 }),
  fc.integer({ min: -99, max: 99 }).map((value) => value / 8),
  fc.constantFrom(0, 1e9, -1e12, 0.1, 99.99),
);

const numbers = fc.record(
  {
    type: fc.constantFrom("number", "integer"),
    minimum: bound,
    exclusiveMinimum: bound,
    maximum: bound,
    exclusiveMaximum: bound,
    multipleOf: fc.constantFrom(1, 2, 3, 5, 7, 10, 25, 100, 0.5, 0.25),
  },
  { requiredKeys: ["type"] },
);
const patterns = fc.constantFrom(
  "^[a-z]{2,5}$",
  "^(foo|ba[rz])+$",
  "[0-9]",
  "^\\d{3}-\\d{4}$",
  "^[^a-z]*x?$",
  "^.{1,3}$|^yes",
  "^(?:a*b*)*$",
  "^\\w+\\s\\S\\D\\W$",
  '^["\\\\/]+$',
  "^(a?){3}(b|c{2,}){0,2}$",
  "^\\u00e9\\x41\\t$",
);
const strings = fc.oneof(
  fc.record(
    { type: fc.constant("string"), minLength: fc.nat(5), maxLength: fc.integer({ min: 5, max: 200 }) },
    { requiredKeys: ["type"] },
  ),
  fc.record({ type: fc.constant("string"), pattern: patterns }),
  fc.record({ type: fc.constant("string"), pattern: patterns, maxLength: fc.integer({ min: 8, max: 20 }) }),
  fc.record({
    type: fc.constant("string"),
    format: fc.constantFrom(
      ...["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"],
      ...["uri-reference", "json-pointer", "relative-json-pointer"],
    ),
  }),
);
const literals = fc.oneof(
  fc.record({ enum: fc.array(fc.oneof(word, fc.integer(), fc.constantFrom(null, true, 1.5)), { minLength: 1 }) }),
  fc.record({ const: fc.jsonValue({ maxDepth: 2 }) }),
);

const { schema: schemas } = fc.letrec<{ schema: object }>((tie) => {
  const inner = tie("schema");
  const objects = fc
    .record(
      {
        properties: fc.dictionary(name, inner, { maxKeys: 5 }),
        required: fc.uniqueArray(name, { maxLength: 3 }),
        additionalProperties: fc.oneof(fc.boolean(), inner),
        propertyNames: fc.constantFrom({}, { type: "string" }),
        maxProperties: fc.constantFrom(7, 8),
        minProperties: fc.constantFrom(0, 1),
      },
      { requiredKeys: [] },
    )
    .map((schema) => ({ type: "object", ...schema }));
  const arrays = fc
    .record(
      {
        items: fc.oneof(inner, fc.constant(false)),
        prefixItems: fc.array(inner, { minLength: 1, maxLength: 3 }),
        minItems: fc.nat(3),
        maxItems: fc.integer({ min: 3, max: 70 }),
      },
      { requiredKeys: [] },
    )
    .map((schema) => ({ type: "array", ...schema }));
  return {
    schema: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(strings, numbers, literals, fc.constantFrom({}, { type: ["null", "boolean"] }, { type: "null" })),
      objects,
      arrays,
      fc.record({ anyOf: fc.array(inner, { minLength: 1, maxLength: 3 }) }),
      fc.record({ oneOf: fc.tuple(objects, strings, fc.constant({ type: "null" })) }),
      fc.record({ allOf: fc.tuple(objects, objects) }),
    ),
  };
});

test("what a grammar allows fits the schema it was made from", () => {
  let made = 0;
  fc.assert(
    fc.property(schemas, fc.integer(), (schema, seed) => {
      let gbnf: string | null;
      try {
        gbnf = gbnfOf(schema);
      } catch (error) {
        // Random schemas meet in ways that cannot be enforced: then they must be refused by name.
        expect(error).toBeInstanceOf(ApiError);
        expect((error as ApiError).param).toStartWith(PARAM);
        return;
      }
      if (gbnf === null) return; // No value fits, such as a number above 5 and below 3.
      made++;
      expectValid(schema, seed, 8);
    }),
    // One seed, so that a run can be repeated; FC_SEED=$RANDOM looks at other schemas.
    { numRuns: 250, seed: Number(process.env.FC_SEED ?? 1) },
  );
  expect(made).toBeGreaterThan(125);
}, 60_000);

test("references, also recursive ones, are followed", () => {
  const schema = {
    $defs: {
      node: {
        type: "object",
        properties: { value: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
        required: ["value", "next"],
        additionalProperties: false,
      },
    },
    $ref: "#/$defs/node",
    description: "a list",
  };
  expectValid(schema, 1, 30);
  expectValid({ type: "array", items: { $ref: "#" }, maxItems: 3 }, 2, 30);
  expectValid({ definitions: { "a/b": { const: 1 } }, $ref: "#/definitions/a~1b" }, 3, 3);
  expectValid({ $defs: { x: { $anchor: "here", type: "boolean" } }, $ref: "#here" }, 4, 3);
});

test("a discriminated oneOf is enforced, and one whose branches overlap is refused", () => {
  const branch = (kind: string, key: string) => ({
    type: "object",
    properties: { kind: { const: kind }, [key]: { type: "number" } },
    required: ["kind"],
  });
  expectValid({ oneOf: [branch("cat", "lives"), branch("dog", "age")] }, 5, 30);
  expectValid({ oneOf: [{ type: "object", properties: { a: {} }, required: ["a"] }, { type: "string" }] }, 6, 20);
  refused({ oneOf: [{ type: "string" }, { minLength: 3 }] }, "oneOf");
});

test("not is enforced where nothing in common can be written", () => {
  expectValid({ type: "string", not: { type: "number" } }, 7, 10);
  expectValid({ enum: [1, 2, 3], not: { const: 2 } }, 8, 10);
  refused({ type: "string", not: { const: "x" } }, "not");
});

function refused(schema: unknown, place: string): void {
  try {
    gbnfOf(schema);
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).row).toBe("invalid_schema");
    expect((error as ApiError).param).toBe(`${PARAM}.${place}`);
    return;
  }
  throw new Error(`${JSON.stringify(schema)} was not refused`);
}

test("what cannot be enforced is refused by its place", () => {
  refused({ type: "object", properties: { x: { if: {}, else: { type: "string" } } } }, "properties.x.else");
  refused({ type: "array", items: { uniqueItems: true } }, "items.uniqueItems");
  refused({ type: "array", contains: {} }, "contains");
  refused({ anyOf: [{}, { unevaluatedProperties: false }] }, "anyOf[1].unevaluatedProperties");
  refused({ type: "string", pattern: "^(?=a)b$" }, "pattern");
  refused({ type: "string", pattern: "(a" }, "pattern");
  // What would keep the engine busy for seconds: very many readings of one text, very deep nesting, very long.
  refused({ type: "string", pattern: "^(((a{0,9}){0,9}){0,9}){0,2}$" }, "pattern");
  refused({ type: "string", pattern: `${"(".repeat(900)}a${")".repeat(900)}` }, "pattern");
  refused({ type: "string", pattern: "(a|b)".repeat(500) }, "pattern");
  refused({ type: "integer", multipleOf: 997 }, "multipleOf");
  refused({ enum: Array.from({ length: 1_001 }, (_, at) => at) }, "enum");
  refused({ type: "string", pattern: "^(a)\\1$" }, "pattern");
  refused({ type: "string", format: "regex" }, "format");
  refused({ $ref: "https://example.com/schema.json" }, "$ref");
  refused({ $ref: "#/$defs/nowhere" }, "$ref");
  refused({ type: "text" }, "type");
  refused({ type: "string", minLength: "3" }, "minLength");
  refused({ properties: [] }, "properties");
  refused({ properties: { a: 7 } }, "properties.a");
  refused({ multipleOf: 0 }, "multipleOf");
  refused({ type: "string", pattern: "^([ab]{1,9}-){1,40}$", maxLength: 390 }, "maxLength");
  refused({ type: "object", minProperties: 3, additionalProperties: true }, "minProperties");
  expect(() => gbnfOf({ $ref: "#" })).toThrow("refers to itself");
  const node = (b: object) => ({ type: "object", properties: { a: { $ref: "#" }, ...b } });
  const twice = { anyOf: [node({}), node({ b: {} })] };
  let deep: unknown = 1;
  for (let depth = 0; depth < 60; depth++) deep = { a: deep };
  expect(() => gbnfOf({ ...twice, properties: { c: { allOf: [{ $ref: "#" }, { const: deep }] } } })).toThrow("complex");
  expect(() => gbnfOf({ allOf: Array.from({ length: 9 }, () => ({ anyOf: [{}, {}] })) })).toThrow("alternatives");
});

test("a lenient schema leaves out what cannot be enforced and still gives JSON of the rest", () => {
  const schema = {
    type: "object",
    properties: { tags: { type: "array", items: { enum: ["a", "b"] }, uniqueItems: true }, id: { pattern: "(?=x)y" } },
    required: ["tags"],
    dependentRequired: { id: ["tags"] },
  };
  const sample = createSampler(gbnfOf(schema, true)!, chance(9));
  for (let count = 0; count < 20; count++) {
    const value = JSON.parse(sample());
    expect(value.tags.every((tag: string) => tag === "a" || tag === "b")).toBe(true);
  }
});

test("a schema that no finite value fits has no grammar, and a branch that never ends is left out", () => {
  const endless = { type: "object", properties: { next: { $ref: "#/$defs/endless" } }, required: ["next"] };
  expect(gbnfOf({ $defs: { endless }, $ref: "#/$defs/endless" })).toBeNull();
  expect(gbnfOf(false)).toBeNull();
  expect(gbnfOf({ type: "integer", minimum: 3.1, maximum: 3.9 })).toBeNull();
  const texts = expectValid({ $defs: { endless }, anyOf: [{ $ref: "#/$defs/endless" }, { const: "out" }] }, 10, 10);
  expect(new Set(texts)).toEqual(new Set(['"out"']));
});

test("integer ranges and multiples are exact", () => {
  const range = fc.tuple(fc.integer({ min: -300, max: 300 }), fc.nat(60), fc.constantFrom(1, 2, 3, 7, 10, 60));
  fc.assert(
    fc.property(range, fc.integer(), ([minimum, span, multipleOf], seed) => {
      const schema = { type: "integer", minimum, maximum: minimum + span, multipleOf };
      const all = Array.from({ length: span + 1 }, (_, at) => minimum + at).filter((value) => value % multipleOf === 0);
      const gbnf = gbnfOf(schema);
      if (all.length === 0) return expect(gbnf).toBeNull();
      const sample = createSampler(gbnf!, chance(seed));
      const seen = new Set(Array.from({ length: 1500 }, () => Number(sample())));
      for (const value of seen) expect(all).toContain(value);
      // Every value can be written: with 1,500 tries at most 61 values go unseen hardly ever, so ask for half.
      expect(seen.size).toBeGreaterThanOrEqual(Math.ceil(all.length / 2));
    }),
    { numRuns: 60 },
  );
});

test("keys keep their order, optional ones may be missing, and further ones never repeat a declared one", () => {
  const schema = {
    type: "object",
    properties: { aa: { const: 1 }, ab: { const: 2 }, b: { const: 3 } },
    required: ["ab"],
    additionalProperties: { type: "string" },
  };
  const seen = new Set<string>();
  for (const text of expectValid(schema, 11, 400)) {
    const declared = Object.keys(JSON.parse(text)).filter((key) => key in schema.properties);
    seen.add(declared.join());
  }
  expect([...seen].sort()).toEqual(["aa,ab", "aa,ab,b", "ab", "ab,b"]);
});

test("arguments of a function without parameters are an empty object", () => {
  for (const parameters of [undefined, null, {}]) {
    const grammar = createGrammar();
    expect(grammar.print(argumentsExpr(grammar, { name: "now", parameters }, "tools[0]"))).toBe('root ::= "{}"\n');
  }
  const grammar = createGrammar();
  const gbnf = grammar.print(argumentsExpr(grammar, { name: "now", parameters: { properties: {} } }, "tools[0]"))!;
  expect(JSON.parse(createSampler(gbnf, chance(12))())).toEqual({});
});

test("references that double with every step are refused, not followed", () => {
  const $defs: Record<string, object> = { last: { type: "integer" } };
  for (let level = 0; level < 30; level++) {
    const $ref = level === 29 ? "#/$defs/last" : `#/$defs/d${level + 1}`;
    $defs[`d${level}`] = { allOf: [{ $ref }, { $ref }] };
  }
  const schema = { type: "object", properties: { a: { $ref: "#/$defs/d0" } }, required: ["a"], $defs };
  expect(() => schemaExpr(createGrammar(), schema, "schema", false)).toThrow("too complex");
});
