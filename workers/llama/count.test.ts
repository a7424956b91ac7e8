// POST /v1/count says what the call's own usage will say.

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type ChatCompletion,
  COUNT_FIELD,
  COUNT_PATH,
  chatTokensBound,
  type ErrorBody,
  type PromptCount,
  parseChatRequest,
} from "@oxbow/contract";
import { tinyTools } from "./fixtures.ts";
import { startWarm, type TestWorker, temporaryDirectory } from "./testing.ts";

const directory = temporaryDirectory();
let worker: TestWorker;
beforeAll(async () => {
  worker = await startWarm(tinyTools(directory.path), directory.path, { model: { contextTokens: 256 } });
});
afterAll(async () => {
  await worker.stop();
  directory.remove();
});

const CHAT = "/v1/chat/completions";
const OLDER = "/v1/completions";

async function count(path: string, body: object): Promise<PromptCount & ErrorBody> {
  const answer = await fetch(`http://worker${COUNT_PATH}`, {
    method: "POST",
    headers: { [COUNT_FIELD]: path },
    body: JSON.stringify(body),
    unix: worker.socket,
  });
  return (await answer.json()) as PromptCount & ErrorBody;
}

const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } };
const said = (content: string) => ({ model: "test", messages: [{ role: "user", content }], max_tokens: 1 });

test("a chat's prompt is counted as its usage counts it, template and tools with it", async () => {
  for (const body of [said("Hi"), said("日本語 <|im_start|>"), { ...said("Weather?"), tools: [weather] }]) {
    const { prompt_tokens } = await count(CHAT, body);
    expect(prompt_tokens).toBeGreaterThan(1);
    expect(prompt_tokens).toBe((await worker.json<ChatCompletion>(CHAT, body)).usage!.prompt_tokens);
    expect(prompt_tokens).toBeLessThanOrEqual(chatTokensBound(parseChatRequest(body)));
  }
});

test("all prompts of the older endpoint are counted together", async () => {
  const body = { model: "test", prompt: ["Hello", "Hello there", ""], max_tokens: 1 };
  const { usage } = await worker.json<ChatCompletion>(OLDER, body);
  expect((await count(OLDER, body)).prompt_tokens).toBe(usage!.prompt_tokens);
});

test("a prompt beyond the context is still counted, but not one that no context could hold", async () => {
  const { prompt_tokens } = await count(CHAT, said("a b ".repeat(200)));
  expect(prompt_tokens).toBeGreaterThanOrEqual(256);
  const { error } = await count(CHAT, said("a b ".repeat(100_000)));
  expect(error.code).toBe("context_length_exceeded");
});

test("what is no call, or of another path, is refused", async () => {
  expect((await count(CHAT, { model: "test" })).error.code).toBe("missing_required_parameter");
  expect((await count("/v1/embeddings", said("Hi"))).error.code).toBe("unknown_url");
});
