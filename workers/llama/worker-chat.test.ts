// Tools, reasoning and structured answers over the worker's wire: the shapes that SDKs rely on.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import type { ChatCompletion, ErrorBody } from "@oxbow/contract";
import { tinyRandom, tinyReason, tinyScripted, tinyTools, tinyTwoTools } from "./fixtures.ts";
import { startWarm, type TestWorker, temporaryDirectory } from "./testing.ts";

const directory = temporaryDirectory();
afterAll(directory.remove);
let worker: TestWorker;
afterEach(() => worker.stop());
const start = async (file: (directory: string) => string) => {
  worker = await startWarm(file(directory.path), directory.path);
};

const CHAT = "/v1/chat/completions";
const weather = {
  name: "get_weather",
  parameters: {
    type: "object",
    properties: { location: { type: "string" } },
    required: ["location"],
    additionalProperties: false,
  },
};
const tools = [{ type: "function", function: weather }];
const ask = { model: "test", messages: [{ role: "user", content: "Weather?" }], temperature: 0 };

interface Delta {
  role?: string;
  content?: string | null;
  reasoning_content?: string;
  tool_calls?: { index: number; id?: string; type?: string; function: { name?: string; arguments?: string } }[];
  function_call?: { name?: string; arguments?: string };
}
interface Chunk {
  choices: { index: number; delta: Delta; finish_reason: string | null }[];
}
const deltasOf = (chunks: Chunk[]) => chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
const reasonOf = (chunks: Chunk[]) => chunks.at(-1)!.choices[0]!.finish_reason;
const only = async (body: object) => (await worker.json<ChatCompletion>(CHAT, body)).choices[0]!;

describe("a model that calls a tool", () => {
  test("the call is whole, with content null and its own reason", async () => {
    await start(tinyTools);
    const { message, finish_reason } = await only({ ...ask, tools });
    expect(finish_reason).toBe("tool_calls");
    expect(message).toMatchObject({ content: null, refusal: null });
    expect(message.tool_calls).toEqual([
      {
        id: expect.stringMatching(/^call_\w{24}$/),
        type: "function",
        function: { name: "get_weather", arguments: expect.any(String) },
      },
    ]);
    expect(JSON.parse(message.tool_calls![0]!.function.arguments)).toEqual({ location: "Paris" });
  });

  test("streamed, id, type and name come once, then arguments only", async () => {
    await start(tinyTools);
    const chunks = await worker.events<Chunk>(CHAT, { ...ask, tools, stream: true });
    const [first, ...rest] = deltasOf(chunks).flatMap(({ tool_calls }) => tool_calls ?? []);
    expect(first).toMatchObject({ index: 0, type: "function", function: { name: "get_weather", arguments: "" } });
    for (const more of rest) expect(Object.keys(more)).toEqual(["index", "function"]);
    const text = rest.map((call) => call.function.arguments).join("");
    expect(JSON.parse(text)).toEqual({ location: "Paris" });
    expect(reasonOf(chunks)).toBe("tool_calls");
    expect(
      deltasOf(chunks)
        .map(({ content }) => content ?? "")
        .join(""),
    ).toBe("");
  });

  test("a tool that was named ends with stop, the older spelling with its own shape", async () => {
    await start(tinyTools);
    const named = await only({ ...ask, tools, tool_choice: { type: "function", function: { name: "get_weather" } } });
    expect(named.finish_reason).toBe("stop");
    expect(named.message.tool_calls).toHaveLength(1);

    const legacy = await only({ ...ask, functions: [weather] });
    expect(legacy.finish_reason).toBe("function_call");
    expect(legacy.message).toMatchObject({ content: null, function_call: { name: "get_weather" } });
    expect(legacy.message).not.toHaveProperty("tool_calls");

    const chunks = await worker.events<Chunk>(CHAT, { ...ask, functions: [weather], stream: true });
    const calls = deltasOf(chunks).flatMap(({ function_call }) => (function_call ? [function_call] : []));
    expect(calls[0]).toEqual({ name: "get_weather", arguments: "" });
    expect(JSON.parse(calls.map((call) => call.arguments).join(""))).toEqual({ location: "Paris" });
    expect(reasonOf(chunks)).toBe("function_call");
  });

  test("two calls have indexes 0 and 1; without parallel calls there is one", async () => {
    await start(tinyTwoTools);
    const { message } = await only({ ...ask, tools });
    expect(message.tool_calls!.map((call) => JSON.parse(call.function.arguments))).toEqual([
      { location: "Paris" },
      { location: "Tokyo" },
    ]);
    const chunks = await worker.events<Chunk>(CHAT, { ...ask, tools, stream: true });
    const starts = deltasOf(chunks)
      .flatMap(({ tool_calls }) => tool_calls ?? [])
      .filter((call) => call.id);
    expect(starts.map(({ index }) => index)).toEqual([0, 1]);
    expect(new Set(starts.map(({ id }) => id)).size).toBe(2);
    expect((await only({ ...ask, tools, parallel_tool_calls: false })).message.tool_calls).toHaveLength(1);
  });
});

describe("a model that answers in words", () => {
  test("a required tool is called all the same, with arguments of its schema", async () => {
    await start(tinyRandom);
    const parameters = { type: "object", properties: { day: { enum: ["today", "tomorrow"] } }, required: ["day"] };
    const body = { tools: [{ type: "function", function: { name: "plan", parameters } }], tool_choice: "required" };
    for (const seed of [1, 2, 3]) {
      const more = { temperature: 1, seed, max_tokens: 900, parallel_tool_calls: false };
      const { message, finish_reason } = await only({ ...ask, ...body, ...more });
      expect(finish_reason).toBe("tool_calls");
      expect(message.tool_calls).toHaveLength(1);
      expect(["today", "tomorrow"]).toContain(JSON.parse(message.tool_calls![0]!.function.arguments).day);
    }
  });

  test("a tool it must not call stays uncalled, and there is no empty list of calls", async () => {
    await start(tinyScripted);
    for (const tool_choice of ["none", "auto"]) {
      const { message, finish_reason } = await only({ ...ask, tools, tool_choice });
      expect(message.content).toBe("Hello! How can I help you today?");
      expect(message).not.toHaveProperty("tool_calls");
      expect(finish_reason).toBe("stop");
    }
  });

  test("a tool without parameters gets an empty object", async () => {
    await start(tinyRandom);
    const ping = [{ type: "function", function: { name: "ping" } }];
    const body = { ...ask, tools: ping, tool_choice: { type: "function", function: { name: "ping" } } };
    expect((await only({ ...body, max_tokens: 200 })).message.tool_calls![0]!.function.arguments).toBe("{}");
    const chunks = await worker.events<Chunk>(CHAT, { ...body, stream: true, max_tokens: 200 });
    const calls = deltasOf(chunks).flatMap(({ tool_calls }) => tool_calls ?? []);
    expect(calls.map((call) => call.function.arguments).join("")).toBe("{}");
  });

  test("structured answers are JSON of their schema, whatever the seed", async () => {
    await start(tinyRandom);
    const schema = {
      type: "object",
      properties: { city: { enum: ["Paris", "Tokyo"] }, degrees: { type: "integer", minimum: -40, maximum: 50 } },
      required: ["city", "degrees"],
      additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "weather", schema, strict: true } };
    const n = 8;
    const answer = await worker.json<ChatCompletion>(CHAT, { ...ask, temperature: 1.5, seed: 3, n, response_format });
    expect(answer.choices).toHaveLength(n);
    for (const { message, finish_reason } of answer.choices) {
      expect(finish_reason).toBe("stop");
      const { city, degrees, ...more } = JSON.parse(message.content!);
      expect(["Paris", "Tokyo"]).toContain(city);
      expect(Number.isInteger(degrees) && degrees >= -40 && degrees <= 50).toBe(true);
      expect(more).toEqual({});
    }
  });

  test("a schema that cannot be held is refused by name", async () => {
    await start(tinyRandom);
    const schema = { type: "object", properties: { a: { $ref: "https://example.com/other.json" } } };
    const response_format = { type: "json_schema", json_schema: { name: "a", schema, strict: true } };
    const answer = await worker.post(CHAT, { ...ask, response_format });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as ErrorBody).error.param).toStartWith("response_format");
  });
});

describe("a model that thinks", () => {
  test("its reasoning is apart from its answer, and counted", async () => {
    await start(tinyReason);
    const answer = await worker.json<ChatCompletion>(CHAT, { ...ask, logprobs: true });
    const { message, logprobs } = answer.choices[0]!;
    expect(message.content).toBe("Hello!");
    expect(message.reasoning_content!.trim()).toBe("Let me think about it.");
    expect(answer.usage.completion_tokens).toBe(10);
    expect(answer.usage.completion_tokens_details.reasoning_tokens).toBe(7);
    expect(logprobs!.content!.map(({ token }) => token)).toEqual(["Hello", "!"]);
  });

  test("streamed, reasoning comes first and in its own field", async () => {
    await start(tinyReason);
    const deltas = deltasOf(await worker.events<Chunk>(CHAT, { ...ask, stream: true }));
    expect(
      deltas
        .map(({ reasoning_content }) => reasoning_content ?? "")
        .join("")
        .trim(),
    ).toBe("Let me think about it.");
    expect(deltas.map(({ content }) => content ?? "").join("")).toBe("Hello!");
    expect(deltas.filter(({ role }) => role)).toHaveLength(1);
  });
});
