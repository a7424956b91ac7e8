import { expect, test } from "bun:test";
import { ApiError, createRenaming, parseResponsesRequest, RelayedError, toChat } from "./contract.ts";

const base = { model: "m", input: "Hi" };
const chatOf = (fields: object) => toChat(parseResponsesRequest({ ...base, ...fields }), "id").chat;
const messagesOf = (input: unknown, fields: object = {}) => chatOf({ input, ...fields }).messages;

function refusal(fields: object): { row: string; param: string | null } {
  try {
    chatOf(fields);
  } catch (error) {
    if (error instanceof ApiError) return { row: error.row, param: error.param };
    throw error;
  }
  throw new Error("not refused");
}

test("a text is one message of the user, and instructions stand before it", () => {
  expect(messagesOf("Hi", { instructions: "Be brief." })).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" },
  ]);
});

test("fields that both forms have in different places", () => {
  const schema = { type: "object" };
  const tool = { name: "f", description: "d", parameters: {}, strict: true };
  const chat = chatOf({
    max_output_tokens: 20,
    temperature: 0,
    include: ["message.output_text.logprobs"],
    top_logprobs: 2,
    reasoning: { effort: "low" },
    text: { verbosity: "high", format: { type: "json_schema", name: "n", schema, strict: true } },
    tools: [{ type: "function", ...tool }],
    tool_choice: { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "f" }] },
    parallel_tool_calls: false,
    stream: true,
    stream_options: { include_obfuscation: true },
    user: "u",
    metadata: { a: "b" },
    unknown: 1,
  });
  expect(chat).toEqual({
    model: "id",
    messages: [{ role: "user", content: "Hi" }],
    max_completion_tokens: 20,
    temperature: 0,
    logprobs: true,
    top_logprobs: 2,
    reasoning_effort: "low",
    verbosity: "high",
    response_format: { type: "json_schema", json_schema: { name: "n", schema, strict: true } },
    tools: [{ type: "function", function: tool }],
    tool_choice: {
      type: "allowed_tools",
      allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "f" } }] },
    },
    parallel_tool_calls: false,
    stream: true,
    stream_options: { include_usage: true, include_obfuscation: true },
  });
});

test("without tools, what SDKs send about them all the same says nothing", () => {
  const bare = { model: "id", messages: [{ role: "user" as const, content: "Hi" }] };
  expect(chatOf({ tools: [], tool_choice: "auto", parallel_tool_calls: true })).toEqual(bare);
  expect(refusal({ tool_choice: "required" })).toEqual({ row: "invalid_combination", param: "tool_choice" });
});

const call = (id: string, more: object = {}) => ({
  type: "function_call",
  call_id: id,
  name: "f",
  arguments: "{}",
  ...more,
});
const result = (id: string, output: unknown = `result ${id}`) => ({
  type: "function_call_output",
  call_id: id,
  output,
});
const called = (id: string) => ({ type: "function" as const, id, function: { name: "f", arguments: "{}" } });
const answered = (id: string) => ({ role: "tool" as const, tool_call_id: id, content: `result ${id}` });
const thought = (text: string) => ({
  type: "reasoning",
  id: "rs_1",
  summary: [],
  content: [{ type: "reasoning_text", text }],
});

test("what the assistant said in one go is one message", () => {
  const said = { type: "message", id: "msg_1", status: "completed", role: "assistant" };
  const text = { type: "output_text", text: "Let me see.", annotations: [], logprobs: [] };
  const input = [
    { role: "user", content: "Weather?" },
    thought("Two cities."),
    { ...said, content: [text, { type: "refusal", refusal: "No." }] },
    call("a", { id: "fc_1", status: null }),
    call("b"),
    result("b"),
    result("a", [{ type: "input_text", text: "fine" }]),
    { role: "assistant", content: "Done." },
    { role: "user", content: [{ type: "input_text", text: "Thanks." }] },
  ];
  expect(messagesOf(input)).toEqual([
    { role: "user", content: "Weather?" },
    {
      role: "assistant",
      content: [
        { type: "text", text: "Let me see." },
        { type: "refusal", refusal: "No." },
      ],
      reasoning_content: "Two cities.",
      tool_calls: [called("a"), called("b")],
    },
    { role: "tool", tool_call_id: "a", content: [{ type: "text", text: "fine" }] },
    answered("b"),
    { role: "assistant", content: "Done." },
    { role: "user", content: [{ type: "text", text: "Thanks." }] },
  ]);
});

test("results may stand anywhere after their calls, and call ids may come again", () => {
  const user = { role: "user" as const, content: "And?" };
  const turn = (id: string) => [{ role: "assistant" as const, tool_calls: [called(id)] }, answered(id)];
  expect(messagesOf([call("a"), user, result("a")])).toEqual([...turn("a"), user]);
  expect(messagesOf([call("a"), result("a"), call("b"), result("b")])).toEqual([...turn("a"), ...turn("b")]);
  expect(messagesOf([call("a"), result("a"), call("a"), result("a")])).toEqual([...turn("a"), ...turn("a")]);
});

test("reasoning is read from its text, or else from its summary", () => {
  const summary = [{ type: "summary_text", text: "short" }];
  const said = { role: "assistant", content: "Hi" };
  const reasoningOf = (item: object) => messagesOf([item, said])[0];
  expect(reasoningOf({ type: "reasoning", summary })).toMatchObject({ reasoning_content: "short" });
  expect(reasoningOf({ ...thought("long"), summary })).toMatchObject({ reasoning_content: "long" });
  expect(reasoningOf({ type: "reasoning", encrypted_content: "x", summary: [] })).toEqual({
    role: "assistant",
    content: "Hi",
  });
});

const part = (part: object) => ({ input: [{ role: "user", content: [{ type: "input_text", text: "x" }, part] }] });

test.each([
  [{ input: undefined }, "missing_required_parameter", "input"],
  [{ input: [] }, "empty_array", "input"],
  [{ input: 5 }, "invalid_type", "input"],
  [{ input: [{ role: "user" }] }, "missing_required_parameter", "input[0].content"],
  [{ input: [{ role: "critic", content: "x" }] }, "invalid_value", "input[0].role"],
  [{ input: [{ type: 7 }] }, "invalid_type", "input[0].type"],
  [{ input: [{ type: "web_search_call", id: "ws_1" }] }, "unsupported_value", "input[0].type"],
  [{ input: [{ type: "constructor" }] }, "unsupported_value", "input[0].type"],
  [{ input: [{ type: "item_reference", id: "msg_1" }] }, "object_not_found", "input"],
  [{ input: [{ id: "msg_1" }] }, "object_not_found", "input"],
  [{ input: [call("a")] }, "invalid_combination", "input"],
  [{ input: [result("a"), { role: "user", content: "x" }] }, "invalid_combination", "input"],
  [part({ type: "input_audio" }), "invalid_value", "input[0].content[1].type"],
  [part({ type: "input_image" }), "missing_required_parameter", "input[0].content[1].image_url"],
  [part({ type: "input_image", file_id: "file-1" }), "unsupported_parameter", "input[0].content[1].file_id"],
  [part({ type: "input_file", file_url: "https://x" }), "unsupported_parameter", "input[0].content[1].file_url"],
  [{ max_output_tokens: 15 }, "integer_below_min_value", "max_output_tokens"],
  [{ top_logprobs: 1 }, "invalid_combination", "top_logprobs"],
  [{ include: ["everything"] }, "invalid_value", "include[0]"],
  [{ stream_options: {} }, "invalid_combination", "stream_options"],
  [{ tools: [{ type: "web_search" }] }, "unsupported_value", "tools[0].type"],
  [{ tools: [{ name: "f" }] }, "missing_required_parameter", "tools[0].type"],
  [
    { tools: [{ type: "function", name: "f" }], tool_choice: { type: "function", name: "g" } },
    "invalid_combination",
    "tool_choice",
  ],
  [{ text: { format: { type: "json_schema", schema: {} } } }, "missing_required_parameter", "text.format.name"],
  [{ truncation: "auto" }, "unsupported_value", "truncation"],
  [{ reasoning: { summary: "concise" } }, "unsupported_value", "reasoning.summary"],
  [{ reasoning: { context: "all_turns" } }, "unsupported_value", "reasoning.context"],
  [{ reasoning: { mode: "pro" } }, "unsupported_value", "reasoning.mode"],
  [{ previous_response_id: "resp_1", input: undefined }, "previous_response_not_found", "previous_response_id"],
  [{ background: true }, "unsupported_parameter", "background"],
  [{ conversation: "conv_1" }, "unsupported_parameter", "conversation"],
  [{ prompt: { id: "p" } }, "unsupported_parameter", "prompt"],
  [{ max_tool_calls: 1 }, "unsupported_parameter", "max_tool_calls"],
  [{ context_management: [{}] }, "unsupported_parameter", "context_management"],
  [{ moderation: { model: "m" } }, "unsupported_parameter", "moderation"],
])("%j is refused: %s at %s", (fields, row, param) => {
  expect(refusal(fields)).toEqual({ row, param });
});

test("what asks for nothing is no reason to refuse", () => {
  const nothing = {
    background: false,
    conversation: null,
    prompt: null,
    previous_response_id: null,
    truncation: "disabled",
  };
  expect(() => chatOf({ ...nothing, reasoning: { effort: null, context: "auto" }, text: {} })).not.toThrow();
});

test.each([
  ["messages", "input"],
  ["messages[0].content", "instructions"],
  ["messages[1].content[2].type", "input[0].content[2].type"],
  ["messages[1].content[0].image_url.url", "input[0].content[0].image_url"],
  ["messages[1].content[0].file.file_data", "input[0].content[0].file_data"],
  ["messages.[3].role", "input[4]"],
  ["max_completion_tokens", "max_output_tokens"],
  ["response_format", "text.format"],
  ["response_format.json_schema.schema.properties.a", "text.format.schema.properties.a"],
  ["tools[1].function.parameters.b", "tools[1].parameters.b"],
  ["reasoning_effort", "reasoning.effort"],
  ["verbosity", "text.verbosity"],
  ["logprobs", "include"],
  ["tool_choice", "tool_choice"],
])("what is said of %s is said of %s", (chat, responses) => {
  const names = createRenaming(["instructions", "input[0]", "input[1]", "input[4]"]);
  expect(names.asked({ param: chat })).toEqual({ param: responses });
  const body = { error: { message: `Invalid '${chat}'.`, type: "t", param: chat, code: null } };
  const relayed = names.error(new RelayedError(400, body, { a: "b" })) as RelayedError;
  expect(relayed.body.error).toEqual({ message: `Invalid '${responses}'.`, type: "t", param: responses, code: null });
  expect([relayed.status, relayed.headers]).toEqual([400, { a: "b" }]);
  const ours = names.error(new ApiError("invalid_value", `Invalid '${chat}'.`, { param: chat })) as ApiError;
  expect([ours.message, ours.param]).toEqual([`Invalid '${responses}'.`, responses]);
});

test("an input that is too long is told in this API's words", () => {
  const error = {
    message: "messages…",
    type: "invalid_request_error",
    param: "messages",
    code: "context_length_exceeded",
  };
  expect(createRenaming([]).body({ error }).error).toMatchObject({
    message: expect.stringContaining("input exceeds the context window"),
    param: "input",
  });
});

test("prompt_cache_key goes on: calls with the same one are kept on the same engine", () => {
  expect(chatOf({ prompt_cache_key: "k" }).prompt_cache_key).toBe("k");
  expect("prompt_cache_key" in chatOf({})).toBe(false);
});
