import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { CUT_FILE, cutSchemas, DESCRIPTION_FILE } from "./cut.ts";
import { assertValid, eventSchemaOf, violationsOf } from "./oracle.ts";

const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
const answer = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_755_137_921,
  model: "m",
  choices: [
    { index: 0, message: { role: "assistant", content: "Hi", refusal: null }, finish_reason: "stop", logprobs: null },
  ],
  usage,
};
const chunk = {
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_755_137_921,
  model: "m",
  choices: [{ index: 0, delta: { content: "Hi" }, finish_reason: null }],
};
const completionChunk = {
  id: "cmpl-1",
  object: "text_completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, text: "a", logprobs: null, finish_reason: null }],
};

test("good documents are valid", () => {
  assertValid("CreateChatCompletionResponse", answer);
  assertValid("CreateChatCompletionStreamResponse", chunk);
  assertValid("ErrorResponse", { error: { message: "m", type: "t", param: null, code: null } });
  assertValid("ListModelsResponse", {
    object: "list",
    data: [{ id: "m", object: "model", created: 1, owned_by: "o" }],
  });
});

test("the errata are allowed, and only where they belong", () => {
  assertValid("CreateChatCompletionResponse", { ...answer, system_fingerprint: null });
  assertValid("CreateChatCompletionStreamResponse", { ...chunk, system_fingerprint: null });
  const { logprobs: _, ...bare } = answer.choices[0]!;
  assertValid("CreateChatCompletionResponse", { ...answer, choices: [bare] });
  assertValid("CreateCompletionStreamResponse", { ...completionChunk, usage: null });
  const echoed = (token_logprobs: unknown[]) => {
    const logprobs = { tokens: ["a", "b"], token_logprobs, top_logprobs: null, text_offset: [0, 1] };
    const choices = [
      { ...completionChunk.choices[0], finish_reason: "stop", logprobs: { ...logprobs, top_logprobs: [] } },
    ];
    return violationsOf("CreateCompletionResponse", { ...completionChunk, choices });
  };
  expect(echoed([null, -1])).toEqual([]);
  expect(echoed([-1, null])).not.toEqual([]);
  expect(violationsOf("CreateCompletionResponse", completionChunk)).not.toEqual([]);
  expect(violationsOf("CreateCompletionResponse", { ...completionChunk, usage: null })).not.toEqual([]);
});

test.each([
  [
    "a finish reason that OpenAI does not have",
    { ...answer, choices: [{ ...answer.choices[0], finish_reason: "eos" }] },
  ],
  ["a time with a fraction", { ...answer, created: 1.5 }],
  ["no choices", { ...answer, choices: undefined }],
  ["usage without a total", { ...answer, usage: { prompt_tokens: 1, completion_tokens: 2 } }],
])("%s is found", (_, broken) => {
  expect(violationsOf("CreateChatCompletionResponse", JSON.parse(JSON.stringify(broken)))).not.toEqual([]);
});

test("an event of the Responses API is held to the schema of its type", () => {
  expect(eventSchemaOf("response.output_text.delta")).toBe("ResponseTextDeltaEvent");
  expect(eventSchemaOf("response.surprise")).toBeUndefined();
  const response = { id: "resp_1", object: "response", created_at: 1, model: "m", output: [], usage: null };
  const asked = { tools: [], tool_choice: "auto", metadata: {}, temperature: 1, top_p: 1, parallel_tool_calls: true };
  const rest = { error: null, incomplete_details: null, instructions: null };
  const event = { type: "response.created", sequence_number: 0, response: { ...response, ...asked, ...rest } };
  assertValid("ResponseCreatedEvent", event);
  expect(violationsOf("ResponseCreatedEvent", { ...event, response })).not.toEqual([]);
});

test("an error without its four keys is found", () => {
  expect(violationsOf("ErrorResponse", { error: { message: "m", type: "t", param: null } })).not.toEqual([]);
  expect(violationsOf("ErrorResponse", { error: { message: "m", type: "t", param: null, code: 400 } })).not.toEqual([]);
});

test("the committed cut is what the description gives, wherever the description is at hand", async () => {
  const committed = await Bun.file(CUT_FILE).json();
  const source = existsSync(DESCRIPTION_FILE) ? cutSchemas(await Bun.file(DESCRIPTION_FILE).text()) : committed;
  expect(committed).toEqual(source);
  // On a bare clone this still holds: every reference of the cut is answered inside the cut.
  const references = JSON.stringify(committed).matchAll(/"#\/components\/schemas\/([^"]+)"/g);
  expect([...references].map(([, name]) => name!).filter((name) => !(name in committed))).toEqual([]);
});
