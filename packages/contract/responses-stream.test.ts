import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  createChatChunks,
  createResponsesAnswer,
  createSseReader,
  parseResponsesRequest,
  SSE_DONE,
  sseEvent,
  usageOf,
} from "./contract.ts";

const encoder = new TextEncoder();
const USAGE = usageOf({ prompt: 5, completion: 7, cached: 1, reasoning: 2 });
const TOKEN = { token: "Hi", logprob: -0.5, bytes: null, top_logprobs: [{ token: "Hi", logprob: -0.5, bytes: null }] };

/** A chat stream as an engine writes it: reasoning, a text, two calls. */
function chatStream(finish: "stop" | "length" | "tool_calls" = "tool_calls", obfuscate = false): string {
  const head = { id: "chatcmpl-1", created: 1, model: "m", systemFingerprint: "fp", includeUsage: true, obfuscate };
  const chunks = createChatChunks(head);
  return [
    chunks.reasoning(0, "Hm, "),
    chunks.reasoning(0, "so."),
    chunks.content(0, "Hi", [TOKEN]),
    chunks.content(0, " ü🎈"),
    chunks.toolCallStart(0, 0, "call_a", "f"),
    chunks.toolCallArguments(0, 0, '{"a"'),
    chunks.toolCallArguments(0, 0, ":1}"),
    chunks.toolCallStart(0, 1, "call_b", "g"),
    chunks.toolCallArguments(0, 1, "{}"),
    chunks.finish(0, finish),
    chunks.usage(USAGE),
    SSE_DONE,
  ].join("");
}

function answerTo(fields: object = {}) {
  let count = 0;
  const call = parseResponsesRequest({ model: "m", input: "Hi", stream: true, ...fields });
  const newId = (prefix: string) => `${prefix}${count++}`;
  return createResponsesAnswer({ call, model: "m", words: (body) => body, newId, now: () => 1_000_000 });
}

const eventsIn = (text: string) => text.split("\n\n").slice(0, -1).map(dataOf);
function dataOf(block: string) {
  const [, name, json] = /^event: (\S+)\ndata: (.*)$/.exec(block)!;
  const data = JSON.parse(json!);
  expect(data.type).toBe(name);
  return data;
}
const streamed = (text: string, fields: object = {}) => eventsIn(answerTo(fields).push(encoder.encode(text)));

const OPEN = {
  ...{ id: "resp_0", object: "response", created_at: 1000, status: "in_progress", completed_at: null, error: null },
  ...{ incomplete_details: null, model: "m", output: [], usage: null, background: false, frequency_penalty: 0 },
  ...{ instructions: null, max_output_tokens: null, max_tool_calls: null, metadata: {}, parallel_tool_calls: true },
  ...{ presence_penalty: 0, previous_response_id: null, prompt_cache_key: null },
  ...{ reasoning: { effort: null, summary: null }, safety_identifier: null, service_tier: "default", store: false },
  ...{ temperature: 1, text: { format: { type: "text" }, verbosity: "medium" }, tool_choice: "auto", tools: [] },
  ...{ top_logprobs: 0, top_p: 1, truncation: "disabled" },
};

test("the events of a stream, every one", () => {
  const thought = { type: "reasoning_text", text: "Hm, so." };
  const reasoning = { id: "rs_1", type: "reasoning", status: "completed", summary: [], encrypted_content: null };
  const part = { type: "output_text", text: "Hi ü🎈", annotations: [], logprobs: [] };
  const message = { id: "msg_2", type: "message", status: "completed", role: "assistant" };
  const f = {
    id: "fc_3",
    type: "function_call",
    status: "completed",
    call_id: "call_a",
    name: "f",
    arguments: '{"a":1}',
  };
  const g = { id: "fc_4", type: "function_call", status: "completed", call_id: "call_b", name: "g", arguments: "{}" };
  const thinking = { item_id: "rs_1", output_index: 0, content_index: 0 };
  const saying = { item_id: "msg_2", output_index: 1, content_index: 0 };
  const open = { status: "in_progress" };
  const output = [{ ...reasoning, content: [thought] }, { ...message, content: [part] }, f, g];
  const usage = {
    input_tokens: 5,
    input_tokens_details: { cached_tokens: 1, cache_write_tokens: 0 },
    output_tokens: 7,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 12,
  };
  const done = { ...OPEN, status: "completed", completed_at: 1000, output, usage };
  const expected: [type: string, fields: object][] = [
    ["created", { response: OPEN }],
    ["in_progress", { response: OPEN }],
    ["output_item.added", { output_index: 0, item: { ...reasoning, ...open, content: [] } }],
    ["content_part.added", { ...thinking, part: { ...thought, text: "" } }],
    ["reasoning_text.delta", { ...thinking, delta: "Hm, " }],
    ["reasoning_text.delta", { ...thinking, delta: "so." }],
    ["reasoning_text.done", { ...thinking, text: "Hm, so." }],
    ["content_part.done", { ...thinking, part: thought }],
    ["output_item.done", { output_index: 0, item: output[0] }],
    ["output_item.added", { output_index: 1, item: { ...message, ...open, content: [] } }],
    ["content_part.added", { ...saying, part: { ...part, text: "" } }],
    ["output_text.delta", { ...saying, delta: "Hi", logprobs: [] }],
    ["output_text.delta", { ...saying, delta: " ü🎈", logprobs: [] }],
    ["output_text.done", { ...saying, text: "Hi ü🎈", logprobs: [] }],
    ["content_part.done", { ...saying, part }],
    ["output_item.done", { output_index: 1, item: output[1] }],
    ["output_item.added", { output_index: 2, item: { ...f, ...open, arguments: "" } }],
    ["function_call_arguments.delta", { item_id: "fc_3", output_index: 2, delta: '{"a"' }],
    ["function_call_arguments.delta", { item_id: "fc_3", output_index: 2, delta: ":1}" }],
    ["function_call_arguments.done", { item_id: "fc_3", output_index: 2, name: "f", arguments: '{"a":1}' }],
    ["output_item.done", { output_index: 2, item: f }],
    ["output_item.added", { output_index: 3, item: { ...g, ...open, arguments: "" } }],
    ["function_call_arguments.delta", { item_id: "fc_4", output_index: 3, delta: "{}" }],
    ["function_call_arguments.done", { item_id: "fc_4", output_index: 3, name: "g", arguments: "{}" }],
    ["output_item.done", { output_index: 3, item: g }],
    ["completed", { response: done }],
  ];
  expect(streamed(chatStream())).toEqual(
    expected.map(([type, fields], at) => ({ type: `response.${type}`, sequence_number: at, ...fields })),
  );
});

test("the bytes of an event", () => {
  const [, , , part] = answerTo().push(encoder.encode(chatStream())).split("\n\n");
  expect(part).toBe(
    'event: response.content_part.added\ndata: {"type":"response.content_part.added","sequence_number":3,"item_id":"rs_1","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":""}}',
  );
});

test("however the chat stream is cut into pieces, the events are the same", () => {
  const bytes = encoder.encode(`: keepalive\n${chatStream("tool_calls")}`);
  const whole = answerTo().push(bytes);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 40 }), (cuts) => {
      const answer = answerTo();
      const borders = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const pieces = borders.slice(1).map((to, at) => answer.push(bytes.subarray(borders[at], to)));
      expect(pieces.join("")).toBe(whole);
    }),
  );
});

test("a stream ends with what the whole answer would have been", () => {
  const message = { content: "Hi ü🎈", reasoning_content: "Hm, so." };
  const call = (id: string, name: string, text: string) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  });
  const tool_calls = [call("call_a", "f", '{"a":1}'), call("call_b", "g", "{}")];
  const logprobs = { content: [TOKEN], refusal: null };
  for (const fields of [{}, { reasoning: { summary: "auto" } }, { include: ["message.output_text.logprobs"] }]) {
    for (const finish_reason of ["tool_calls", "length", "content_filter"] as const) {
      const choice = { index: 0, message: { ...message, tool_calls }, finish_reason, logprobs };
      const whole = answerTo(fields).whole(encoder.encode(JSON.stringify({ choices: [choice], usage: USAGE })));
      const stream = chatStream().replace('"finish_reason":"tool_calls"', `"finish_reason":"${finish_reason}"`);
      expect(streamed(stream, fields).at(-1).response).toEqual(whole);
    }
  }
});

test("an answer that was cut is incomplete, and so is its last item", () => {
  const { type, response } = streamed(chatStream("length")).at(-1);
  expect(type).toBe("response.incomplete");
  expect(response).toMatchObject({
    status: "incomplete",
    completed_at: null,
    incomplete_details: { reason: "max_output_tokens" },
  });
  expect(response.output.map((item: { status: string }) => item.status)).toEqual([
    ...["completed", "completed", "completed"],
    "incomplete",
  ]);
});

test("reasoning goes into the summary when one is asked for", () => {
  const events = streamed(chatStream(), { reasoning: { summary: "detailed" } });
  expect(events.slice(3, 8).map(({ type }) => type)).toEqual([
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
  ]);
  expect(events[4]).toMatchObject({ item_id: "rs_1", output_index: 0, summary_index: 0, delta: "Hm, " });
  const [reasoning] = events.at(-1).response.output;
  expect(reasoning).toMatchObject({ summary: [{ type: "summary_text", text: "Hm, so." }], content: [] });
});

test("log-probabilities come when they are asked for, and bytes are always a list", () => {
  const events = streamed(chatStream(), { include: ["message.output_text.logprobs"] });
  const entry = { ...TOKEN, bytes: [], top_logprobs: [{ ...TOKEN.top_logprobs[0], bytes: [] }] };
  expect(events.find(({ type }) => type.endsWith("output_text.delta")).logprobs).toEqual([entry]);
  expect(events.at(-1).response.output[1].content[0].logprobs).toEqual([entry]);
});

test("padding rides on deltas when the engine sends it", () => {
  const padded = streamed(chatStream("tool_calls", true)).filter((event) => "obfuscation" in event);
  expect(padded.length).toBe(7);
  expect(padded.every(({ type }) => type.endsWith(".delta"))).toBe(true);
});

test("an answer without anything is a message with an empty text", () => {
  const chunks = createChatChunks({
    id: "c",
    created: 1,
    model: "m",
    systemFingerprint: "f",
    includeUsage: true,
    obfuscate: false,
  });
  const events = streamed(chunks.finish(0, "stop") + chunks.usage(USAGE) + SSE_DONE);
  expect(events.at(-1).response.output).toMatchObject([{ type: "message", content: [{ text: "" }] }]);
});

const ERROR = { error: { message: "m", type: "server_error", param: null, code: "engine_failed" } };

test("an error in the stream ends it as a failed response, which keeps what was said", () => {
  const text = chatStream();
  const events = streamed(
    text.slice(0, text.indexOf("call_a") - 200).replace(/[^\n]*$/, "") + sseEvent(ERROR) + SSE_DONE,
  );
  const { type, response } = events.at(-1);
  expect(type).toBe("response.failed");
  expect(response).toMatchObject({ status: "failed", error: { code: "server_error", message: "m" }, usage: null });
  expect(response.output.at(-1)).toMatchObject({ type: "message", status: "incomplete" });
  expect(events.filter((event) => event.response?.status !== "in_progress" && event.response)).toHaveLength(1);
});

test("a failure before the first event still has a beginning, and nothing comes after it", () => {
  const answer = answerTo();
  const limited = { error: { message: "m", type: "requests", param: null, code: "rate_limit_exceeded" } };
  const events = eventsIn(answer.fail(limited));
  expect(events.map(({ type }) => type)).toEqual(["response.created", "response.in_progress", "response.failed"]);
  expect(events.at(-1).response.error.code).toBe("rate_limit_exceeded");
  expect(answer.push(encoder.encode(chatStream())) + answer.fail(ERROR)).toBe("");
});

test("what is no chat answer is the engine's failure", () => {
  for (const text of ["{}", "[]", "null", "nonsense", '{"choices":[]}', '{"choices":[{}]}']) {
    expect(() => answerTo().whole(encoder.encode(text))).toThrow(expect.objectContaining({ row: "engine_failed" }));
  }
  expect(() => streamed("data: nonsense\n\n")).toThrow(expect.objectContaining({ row: "engine_failed" }));
  const late = sseEvent({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: "{}" } }] } }] });
  expect(() => streamed(late)).toThrow(expect.objectContaining({ row: "engine_failed" }));
});

test("the answer repeats what was asked", () => {
  const asked = {
    instructions: "Be brief.",
    max_output_tokens: 16,
    metadata: { a: "b" },
    parallel_tool_calls: false,
    presence_penalty: 1,
    prompt_cache_key: "k",
    reasoning: { effort: "low", summary: "auto" },
    safety_identifier: "s",
    temperature: 0,
    text: { format: { type: "json_object" }, verbosity: "low" },
    tool_choice: { type: "function", name: "f" },
    tools: [{ type: "function", name: "f", description: "d", parameters: {}, strict: true }],
    top_p: 0.5,
  };
  const [created] = streamed(chatStream(), { ...asked, store: true, service_tier: "flex" });
  expect(created.response).toEqual({ ...OPEN, ...asked });
  expect(createSseReader().push(encoder.encode(answerTo().fail(ERROR)))).toHaveLength(3);
});
