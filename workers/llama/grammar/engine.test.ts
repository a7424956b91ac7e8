// Contract with the engine: it reads our grammars, and reads them as we mean them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { getLlama, type Llama, LlamaLogLevel } from "node-llama-cpp";
import { createGrammar } from "./gbnf.ts";
import { chance, createSampler } from "./sample.ts";
import { schemaExpr } from "./schema-to-gbnf.ts";

let llama: Llama;
beforeAll(async () => {
  llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.disabled });
});
afterAll(() => llama.dispose());

const SCHEMAS: Record<string, unknown> = {
  "any object": { type: "object" },
  person: {
    type: "object",
    properties: {
      name: { type: "string", minLength: 1, maxLength: 300 },
      'quo"te': { type: "string", pattern: '^["\\\\/\\n]{2,}$' },
      age: { type: "integer", minimum: 0, maximum: 150 },
      height: { type: "number", exclusiveMinimum: 0, maximum: 2.75 },
      mail: { type: "string", format: "email", maxLength: 255 },
      friends: { type: "array", items: { $ref: "#" }, maxItems: 4 },
    },
    required: ["name", "age"],
    additionalProperties: { type: ["boolean", "null"] },
  },
  "long text": { type: "string", minLength: 70, maxLength: 100_000 },
  "many items": { type: "array", items: { type: "boolean" }, minItems: 100, maxItems: 5_000 },
  uri: { type: "string", format: "uri" },
  ipv6: { type: "string", format: "ipv6" },
  "date-time": { type: "string", format: "date-time" },
  multiples: { type: "integer", multipleOf: 7 },
  "nested repetition": { type: "string", pattern: "^(?:(?:a*)*b?)*(?:c?){3}$" },
  "odd literals": { enum: ["\n", "é😀", "\u2028", { a: ["\\"] }, "\u007f"] },
};

for (const [name, schema] of Object.entries(SCHEMAS)) {
  test(`the engine accepts the grammar and its texts: ${name}`, async () => {
    const builder = createGrammar();
    const gbnf = builder.print(schemaExpr(builder, schema, "schema", false))!;
    const grammar = await llama.createGrammar({ grammar: gbnf });
    // Private, and only used here: the one way to ask the engine about a text without a model.
    const engine = grammar as unknown as { _testText(text: string): boolean };
    const sample = createSampler(gbnf, chance(1));
    for (let count = 0; count < 20; count++) {
      const text = sample();
      expect({ text, fits: engine._testText(text) }).toEqual({ text, fits: true });
      expect(engine._testText(`${text}\n`)).toBe(false);
      if (/[}\]"]$/.test(text)) expect(engine._testText(text.slice(0, -1))).toBe(false);
    }
  });
}

test("an engine that cannot read a grammar says so", () => {
  expect(llama.createGrammar({ grammar: "root ::= nowhere" })).rejects.toThrow("Failed to parse grammar");
});
