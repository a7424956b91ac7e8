// Whatever a plan's grammar lets a model write, the plan's reader reads as the caller asked for it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { ApiError, type ChatRequest, parseChatRequest } from "@oxbow/contract";
import Ajv from "ajv/dist/2020";
import fc from "fast-check";
import { getLlama, type Llama, LlamaLogLevel } from "node-llama-cpp";
import { chance, createSampler } from "../grammar/sample.ts";
import { TEMPLATES } from "./fixtures.ts";
import { type OutputPiece, type OutputReader, planOutput } from "./output.ts";
import { Pieces } from "./pieces.ts";
import { createChatTemplate } from "./template.ts";

const PARAMETERS: Record<string, object | undefined> = {
  get_weather: {
    type: "object",
    properties: {
      city: { type: "string" },
      unit: { enum: ["C", "F"] },
      days: { type: "integer", minimum: 1, maximum: 9 },
    },
    required: ["city"],
    additionalProperties: false,
  },
  get: { type: "object", properties: { "a}b": { type: "array", items: { type: "object" } } } },
  now: undefined,
};
const TOOLS = Object.entries(PARAMETERS).map(([name, parameters]) => ({
  type: "function",
  function: { name, description: `the ${name}`, ...(parameters ? { parameters } : {}) },
}));
const ANSWER = { type: "object", properties: { answer: { type: "number" } }, required: ["answer"] };
const JSON_ANSWER = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: ANSWER } };
const ajv = new Ajv({ strict: false });

const template = (name: keyof typeof TEMPLATES) => createChatTemplate(TEMPLATES[name], { bos: "<s>", eos: "</s>" });
const request = (fields: Record<string, unknown>): ChatRequest =>
  parseChatRequest({ model: "m", messages: [{ role: "user", content: "hi" }], ...fields });

/** All pieces of a text that arrives in these parts, neighbours of one kind joined. */
function readAll(reader: OutputReader, parts: string[]): OutputPiece[] {
  const pieces = new Pieces();
  for (const piece of [...parts.flatMap((part) => reader.push(part)), ...reader.end()]) {
    if (piece.kind === "call") pieces.call(piece.name);
    else pieces.add(piece.kind, piece.text);
  }
  return pieces.list;
}

function cut(text: string, random: () => number): string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const length = 1 + Math.floor(random() * 6);
    parts.push(text.slice(at, at + length));
    at += length;
  }
  return parts;
}

function callsIn(pieces: OutputPiece[]): { name: string; args: string }[] {
  const calls: { name: string; args: string }[] = [];
  for (const piece of pieces) {
    if (piece.kind === "call") calls.push({ name: piece.name, args: "" });
    if (piece.kind === "arguments") calls.at(-1)!.args += piece.text;
  }
  return calls;
}

const textIn = (pieces: OutputPiece[], kind: "content" | "reasoning") =>
  pieces.map((piece) => (piece.kind === kind ? piece.text : "")).join("");

const CHOICES: Record<string, { fields: Record<string, unknown>; check(calls: number, content: string): boolean }> = {
  auto: { fields: {}, check: () => true },
  "auto, one at most": { fields: { parallel_tool_calls: false }, check: (calls) => calls <= 1 },
  required: { fields: { tool_choice: "required" }, check: (calls, content) => calls >= 1 && content === "" },
  "required, one": {
    fields: { tool_choice: "required", parallel_tool_calls: false },
    check: (calls, content) => calls === 1 && content === "",
  },
  named: {
    fields: { tool_choice: { type: "function", function: { name: "get" } } },
    check: (calls, content) => calls === 1 && content === "",
  },
  "auto or JSON": {
    fields: { response_format: JSON_ANSWER },
    check: (calls, content) => (calls > 0 ? content === "" : ajv.validate(ANSWER, JSON.parse(content))),
  },
};

let llama: Llama;
beforeAll(async () => {
  llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.disabled });
});
afterAll(() => llama.dispose());

for (const name of Object.keys(TEMPLATES) as (keyof typeof TEMPLATES)[]) {
  test(`${name}: calls that the grammar allows are read, complete and valid, whatever the chunks`, async () => {
    for (const [choice, { fields, check }] of Object.entries(CHOICES)) {
      const plan = planOutput(request({ tools: TOOLS, ...fields }), template(name));
      const engine = (await llama.createGrammar({ grammar: plan.grammar! })) as unknown as {
        _testText(text: string): boolean;
      };
      let called = 0;
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const random = chance(seed);
          const text = createSampler(plan.grammar!, random)();
          const pieces = readAll(plan.createReader(), [text]);
          expect(readAll(plan.createReader(), cut(text, random))).toEqual(pieces);
          expect(engine._testText(text)).toBe(true);
          const calls = callsIn(pieces);
          called += calls.length;
          for (const { name, args } of calls) {
            expect(Object.keys(PARAMETERS)).toContain(name);
            expect(ajv.validate(PARAMETERS[name] ?? { const: {} }, JSON.parse(args))).toBe(true);
          }
          if (choice === "named") expect(calls[0]?.name).toBe("get");
          if (!check(calls.length, textIn(pieces, "content"))) throw new Error(`${choice}: ${text}`);
        }),
        { numRuns: 25 },
      );
      // Random free text hardly ever holds a marker, so only the other choices must call.
      if (!choice.startsWith("auto")) expect(called).toBeGreaterThan(20);
    }
  });
}

test("with tools on auto a model may talk, but what begins like a call must be one", async () => {
  const begins = {
    TAGGED: "<tool_call>",
    BRACKETED: "[TOOL_CALLS]",
    SEPARATED: "<｜tool▁calls▁begin｜>",
    PLAIN: "<tool_call>",
  };
  for (const [name, begin] of Object.entries(begins)) {
    const of = (tool_choice: string) => planOutput(request({ tools: TOOLS, tool_choice }), template(name as "TAGGED"));
    const grammar = await llama.createGrammar({ grammar: of("auto").grammar! });
    const fits = (text: string) => (grammar as unknown as { _testText(text: string): boolean })._testText(text);
    const sample = createSampler(of("required").grammar!, chance(1));
    for (let count = 0; count < 10; count++) {
      const text = `I will look.\n<${begin.slice(0, -1)} ${begin[0]}${sample().replace(/^<think>[\s\S]*<\/think>\s*/, "")}`;
      expect({ text, fits: fits(text) }).toEqual({ text, fits: true });
      const pieces = readAll(of("auto").createReader(), [text]);
      expect(textIn(pieces, "content")).toBe(`I will look.\n<${begin.slice(0, -1)} ${begin[0]}`);
      expect(callsIn(pieces).length).toBeGreaterThan(0);
      expect(fits(text.slice(0, -1))).toBe(false);
    }
    for (const text of ["", "Hello.", begin.slice(0, -1)]) expect(fits(text)).toBe(true);
    for (const text of [begin, `${begin}Hello`, `a ${begin}{"name": "nobody"}`]) expect(fits(text)).toBe(false);
  }
});

test("without tools and format there is no grammar, and markers of calls are text", () => {
  for (const fields of [{}, { tools: TOOLS, tool_choice: "none" }, { response_format: { type: "text" } }]) {
    const plan = planOutput(request(fields), template("TAGGED"));
    expect(plan.grammar).toBeNull();
    const text = 'see <tool_call>{"name": "get", "arguments": {}}</tool_call> \n';
    expect(readAll(plan.createReader(), [text])).toEqual([{ kind: "content", text }]);
  }
});

test("json_object and json_schema hold the whole answer to JSON, after reasoning at most", () => {
  for (const name of ["TAGGED", "OPENED", "CHANNELS", "BARE", "NONE"] as const) {
    for (const response_format of [{ type: "json_object" }, JSON_ANSWER]) {
      const plan = planOutput(request({ response_format }), template(name));
      const sample = createSampler(plan.grammar!, chance(3));
      for (let count = 0; count < 20; count++) {
        const value = JSON.parse(textIn(readAll(plan.createReader(), [sample()]), "content"));
        expect(typeof value).toBe("object");
        if (response_format === JSON_ANSWER) expect(ajv.validate(ANSWER, value)).toBe(true);
      }
    }
  }
});

test("a schema that cannot be enforced is refused by its place in the request", () => {
  const schema = { type: "object", properties: { x: { contains: {} } } };
  const refusal = (fields: Record<string, unknown>) => {
    try {
      planOutput(request(fields), template("TAGGED"));
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      return (error as ApiError).param;
    }
    return "accepted";
  };
  const format = (strict?: boolean) => ({
    response_format: { type: "json_schema", json_schema: { name: "n", schema, strict } },
  });
  const tool = (strict?: boolean) => ({
    tools: [TOOLS[0], { type: "function", function: { name: "t", parameters: schema, strict } }],
  });
  expect(refusal(format(true))).toBe("response_format.json_schema.schema.properties.x.contains");
  expect(refusal(format())).toBe("response_format.json_schema.schema.properties.x.contains");
  expect(refusal(format(false))).toBe("accepted");
  expect(refusal(tool(true))).toBe("tools[1].function.parameters.properties.x.contains");
  expect(refusal(tool())).toBe("accepted");
  expect(
    refusal({ tools: TOOLS, tool_choice: { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{}] } } }),
  ).toBe("tool_choice");
  expect(refusal({ response_format: { type: "json_schema", json_schema: { name: "n", schema: { enum: [] } } } })).toBe(
    "response_format",
  );
});

test("a required call that is cut off anywhere shows nothing of its markup as content", () => {
  for (const name of ["TAGGED", "BRACKETED"] as const) {
    const plan = planOutput(request({ tools: TOOLS, tool_choice: "required" }), template(name));
    const text = name === "TAGGED" ? '<tool_call>\n{"name": "now", "arguments": {}}' : '[TOOL_CALLS][{"name": "now"';
    for (let length = 0; length <= text.length; length++) {
      const reader = plan.createReader();
      const pieces = [...reader.push(text.slice(0, length)), ...reader.end()];
      expect(pieces.filter((piece) => piece.kind === "content")).toEqual([]);
    }
  }
});
