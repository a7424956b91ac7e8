import { expect, test } from "bun:test";
import { createChatChunks, createSseReader, usageOf } from "./contract.ts";

const HEAD = {
  id: "chatcmpl-1",
  created: 1,
  model: "m",
  systemFingerprint: "fp",
  includeUsage: false,
  obfuscate: false,
};
const parsed = (text: string) =>
  createSseReader()
    .push(new TextEncoder().encode(text))
    .map((event) => JSON.parse(event.data));

test("a stream's bytes are these", () => {
  const chunks = createChatChunks(HEAD);
  const head =
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","service_tier":"default","system_fingerprint":"fp","choices":[';
  expect(chunks.content(0, 'a"\n') + chunks.content(0, "b") + chunks.finish(0, "stop")).toBe(
    [
      `${head}{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}\n\n`,
      `${head}{"index":0,"delta":{"content":"a\\"\\n"},"finish_reason":null}]}\n\n`,
      `${head}{"index":0,"delta":{"content":"b"},"finish_reason":null}]}\n\n`,
      `${head}{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n`,
    ].join(""),
  );
});

test("each choice gets its role once, even one that says nothing", () => {
  const chunks = createChatChunks(HEAD);
  const all = parsed(chunks.content(0, "a") + chunks.finish(1, "length") + chunks.content(0, "b"));
  const roles = all.filter((chunk) => chunk.choices[0].delta.role).map((chunk) => chunk.choices[0].index);
  expect(roles).toEqual([0, 1]);
});

test("a tool call says its id, type and name once, and then only arguments", () => {
  const chunks = createChatChunks(HEAD);
  const all = parsed(chunks.toolCallStart(0, 0, "call_1", "f") + chunks.toolCallArguments(0, 0, "{}"));
  expect(all.map((chunk) => chunk.choices[0].delta)).toEqual([
    { role: "assistant", content: null, refusal: null },
    { tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "f", arguments: "" } }] },
    { tool_calls: [{ index: 0, function: { arguments: "{}" } }] },
  ]);
});

test("with include_usage every chunk has the key, and the last one the counts and no choice", () => {
  const chunks = createChatChunks({ ...HEAD, includeUsage: true });
  const usage = usageOf({ prompt: 3, completion: 2, cached: 1 });
  const all = parsed(chunks.content(0, "a") + chunks.finish(0, "stop") + chunks.usage(usage));
  expect(all.map((chunk) => chunk.usage)).toEqual([null, null, null, usage]);
  expect(all.at(-1).choices).toEqual([]);
  expect(usage.total_tokens).toBe(5);
});

test("padding is there when asked for, and only then", () => {
  const padded = createChatChunks({ ...HEAD, obfuscate: true });
  for (const chunk of parsed(padded.content(0, "a"))) expect(chunk.obfuscation).toMatch(/^.+$/);
  for (const chunk of parsed(createChatChunks(HEAD).content(0, "a"))) expect(chunk).not.toHaveProperty("obfuscation");
});

test("log-probabilities ride on the chunk of their tokens", () => {
  const entry = { token: "a", logprob: -1, bytes: [97], top_logprobs: [] };
  const [, chunk] = parsed(createChatChunks(HEAD).content(0, "a", [entry]));
  expect(chunk.choices[0].logprobs).toEqual({ content: [entry], refusal: null });
});
