import { expect, test } from "bun:test";
import { parseChatRequest } from "./chat-parse.ts";
import { parseCompletionRequest } from "./completions.ts";
import { chatTokensBound, completionTokensBound } from "./prompt-size.ts";

const chat = (fields: object) => chatTokensBound(parseChatRequest({ model: "m", ...fields }));
const user = (content: unknown) => ({ messages: [{ role: "user", content }] });
const empty = chat(user(""));

test("a text counts its bytes, not its characters", () => {
  expect(chat(user("Hello")) - empty).toBe(5);
  expect(chat(user("日本語")) - empty).toBe(9);
  expect(chat(user([{ type: "text", text: "é" }])) - empty).toBe(2);
});

test("whatever a template may write of a message counts", () => {
  const call = { id: "c1", type: "function", function: { name: "look", arguments: '{"at":"x"}' } };
  const fields = [
    { messages: [{ role: "user", name: "ann", content: "" }] },
    { messages: [{ role: "assistant", content: "", reasoning_content: "hm" }] },
    { ...user(""), tools: [{ type: "function", function: { name: "look", parameters: {} } }] },
    { ...user(""), response_format: { type: "json_schema", json_schema: { name: "s", schema: { type: "object" } } } },
  ];
  for (const each of fields) expect(chat(each)).toBeGreaterThan(empty);
  const called = [
    { role: "assistant", tool_calls: [call] },
    { role: "tool", tool_call_id: "c1", content: "y" },
  ];
  expect(chat({ messages: called })).toBeGreaterThan(empty + 2 * JSON.stringify([call]).length);
});

test("what is no text does not count", () => {
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(5000)}` } };
  expect(chat(user([image]))).toBe(empty);
});

test("all prompts of a completion count, tokens as they are, with what follows the answer", () => {
  const bound = (fields: object) => completionTokensBound(parseCompletionRequest({ model: "m", ...fields }));
  const one = bound({ prompt: "" });
  expect(bound({ prompt: ["ab", "c"] })).toBe(2 * one + 3);
  expect(bound({ prompt: [[1, 2, 3], [4]] })).toBe(2 * one + 4);
  expect(bound({ prompt: "ab", suffix: "cde" })).toBe(one + 5);
});
