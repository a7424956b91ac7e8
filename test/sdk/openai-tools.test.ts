// The official Node client: tools in both spellings, round trips, and the helper that runs them.

import { expect, test } from "bun:test";
import OpenAI from "openai";
import type { ChatCompletionMessageParam } from "openai/resources/chat/completions";
import { KEY } from "../harness.ts";
import { HELLO, MODEL, TWO_CITIES, testTraffic, useServer, WEATHER } from "../suite.ts";

const server = useServer();
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const base = { model: MODEL, tools: [WEATHER] };
const locationsOf = (calls: { function?: { arguments: string } }[]) =>
  calls.map((call) => JSON.parse(call.function!.arguments).location).sort();

type Message = OpenAI.ChatCompletionMessage;
const callsOf = (message: Message) =>
  (message.tool_calls ?? []).filter(
    (call) => call.type === "function",
  ) as OpenAI.ChatCompletionMessageFunctionToolCall[];

test("a round trip with two parallel calls", async () => {
  const first = await client().chat.completions.create({ ...base, messages: TWO_CITIES });
  const { message, finish_reason } = first.choices[0]!;
  expect(finish_reason).toBe("tool_calls");
  expect(message.content).toBeNull();
  const calls = callsOf(message);
  expect(locationsOf(calls)).toEqual(["Paris", "Tokyo"]);
  expect(new Set(calls.map((call) => call.id)).size).toBe(2);
  // Results may come in any order.
  const results = calls.toReversed().map((call): ChatCompletionMessageParam => {
    return { role: "tool", tool_call_id: call.id, content: `{"temperature":"23 degrees"}` };
  });
  const final = await client().chat.completions.create({ ...base, messages: [...TWO_CITIES, message, ...results] });
  expect(final.choices[0]!.finish_reason).toBe("stop");
  expect(final.choices[0]!.message.content).toContain("23 degrees");
});

test("the same calls, streamed", async () => {
  const final = await client()
    .chat.completions.stream({ ...base, messages: TWO_CITIES })
    .finalChatCompletion();
  expect(final.choices[0]!.finish_reason).toBe("tool_calls");
  expect(locationsOf(callsOf(final.choices[0]!.message))).toEqual(["Paris", "Tokyo"]);
});

test("runTools calls our functions and ends with a text", async () => {
  const asked: string[] = [];
  const runner = client().chat.completions.runTools({
    model: MODEL,
    messages: TWO_CITIES,
    stream: true,
    tools: [
      {
        type: "function",
        function: {
          ...WEATHER.function,
          parse: JSON.parse,
          function: ({ location }: { location: string }) => {
            asked.push(location);
            return `${location}: 23 degrees`;
          },
        },
      },
    ],
  });
  expect(await runner.finalContent()).toContain("23 degrees");
  expect(asked.sort()).toEqual(["Paris", "Tokyo"]);
});

test("tool_choice: none, auto, required, named, allowed", async () => {
  const create = async (fields: object, messages: ChatCompletionMessageParam[] = HELLO) =>
    (await client().chat.completions.create({ ...base, messages, ...fields })).choices[0]!;
  expect((await create({ tool_choice: "none" }, TWO_CITIES)).message.tool_calls).toBeUndefined();
  expect((await create({ tool_choice: "auto" })).message.tool_calls).toBeUndefined();
  expect((await create({ tool_choice: "required" })).finish_reason).toBe("tool_calls");
  const named = await create({ tool_choice: { type: "function", function: { name: "get_weather" } } });
  expect(callsOf(named.message)).toHaveLength(1);
  expect(named.finish_reason).toBe("stop");
  const other = { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } };
  const allowed = await create({
    tools: [WEATHER, other],
    tool_choice: {
      type: "allowed_tools",
      allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "get_time" } }] },
    },
  });
  expect(callsOf(allowed.message)[0]!.function).toEqual({ name: "get_time", arguments: "{}" });
});

test("parallel_tool_calls: false brings one call", async () => {
  const answer = await client().chat.completions.create({ ...base, messages: TWO_CITIES, parallel_tool_calls: false });
  expect(callsOf(answer.choices[0]!.message)).toHaveLength(1);
});

test("arguments keep to the tool's schema", async () => {
  const parameters = {
    type: "object",
    properties: {
      kind: { type: "string", enum: ["a", "b"] },
      count: { type: "integer", minimum: 3, maximum: 5 },
      when: { type: "string", format: "date" },
      tags: { type: "array", items: { type: "string" }, minItems: 1 },
      inner: { type: "object", properties: { on: { type: "boolean" } }, required: ["on"], additionalProperties: false },
    },
    required: ["kind", "count", "when", "tags", "inner"],
    additionalProperties: false,
  };
  const answer = await client().chat.completions.create({
    model: MODEL,
    messages: HELLO,
    tools: [{ type: "function", function: { name: "order", strict: true, parameters } }],
    tool_choice: "required",
  });
  const given = JSON.parse(callsOf(answer.choices[0]!.message)[0]!.function.arguments);
  expect(["a", "b"]).toContain(given.kind);
  expect([3, 4, 5]).toContain(given.count);
  expect(given.when).toMatch(/^\d{4}-\d\d-\d\d$/);
  expect(given.tags.length).toBeGreaterThan(0);
  expect(given.inner).toEqual({ on: expect.any(Boolean) });
});

test("the older functions, whole and streamed", async () => {
  const functions = [WEATHER.function];
  const messages = [{ role: "user" as const, content: "What is the weather in Oslo? Use get_weather." }];
  const whole = (await client().chat.completions.create({ model: MODEL, messages, functions })).choices[0]!;
  expect(whole.finish_reason).toBe("function_call");
  expect(JSON.parse(whole.message.function_call!.arguments).location).toBe("Oslo");
  const streamed = client().chat.completions.stream({ model: MODEL, messages, functions });
  const final = (await streamed.finalChatCompletion()).choices[0]!;
  expect(JSON.parse(final.message.function_call!.arguments).location).toBe("Oslo");
  const answered = await client().chat.completions.create({
    model: MODEL,
    functions,
    messages: [
      ...messages,
      { role: "assistant", content: null, function_call: whole.message.function_call! },
      { role: "function", name: "get_weather", content: "7 degrees" },
    ],
  });
  expect(answered.choices[0]!.message.content).toContain("7 degrees");
});

test("a limit that cuts a call ends with `length`", async () => {
  const answer = await client().chat.completions.create({ ...base, messages: TWO_CITIES, max_completion_tokens: 5 });
  expect(answer.choices[0]!.finish_reason).toBe("length");
});

testTraffic(server);
