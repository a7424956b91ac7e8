// POST /v1/count says what the call's own usage will say, and a bound of a prompt's length is never below it.

import { expect, test } from "bun:test";
import {
  COUNT_FIELD,
  COUNT_PATH,
  chatTokensBound,
  completionTokensBound,
  type ErrorBody,
  parseChatRequest,
  parseCompletionRequest,
} from "@oxbow/contract";
import fc from "fast-check";
import { createSimulator } from "./server.ts";

const model = { id: "m", aliases: [], category: "chat", capabilities: ["tools", "vision"], contextTokens: 1_000_000 };
const handle = createSimulator({ socket: "", models: [model], slots: 8, threads: 1, options: {} });

const CHAT = "/v1/chat/completions";
const OLDER = "/v1/completions";

async function post(path: string, body: object, headers: Record<string, string> = {}) {
  const request = new Request(`http://worker${path}`, { method: "POST", body: JSON.stringify(body), headers });
  return (await (await handle(request)).json()) as {
    prompt_tokens: number;
    usage: { prompt_tokens: number };
  } & ErrorBody;
}
const count = async (path: string, body: object) =>
  (await post(COUNT_PATH, body, { [COUNT_FIELD]: path })).prompt_tokens;

const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 60 }), fc.string({ unit: "binary", maxLength: 20 }));
const messages = fc.array(fc.record({ role: fc.constantFrom("system", "user", "assistant"), content: text }), {
  minLength: 1,
  maxLength: 6,
});
const tool = (name: string) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: {} } },
});
const tools = fc.option(fc.uniqueArray(fc.constantFrom("a", "bee", "sea"), { minLength: 1 }), { nil: undefined });

test("a chat's prompt is counted as its usage counts it, and never above its bound", async () => {
  await fc.assert(
    fc.asyncProperty(messages, tools, async (said, names) => {
      const body = { model: "m", messages: said, max_tokens: 1, ...(names && { tools: names.map(tool) }) };
      const counted = await count(CHAT, body);
      expect(counted).toBe((await post(CHAT, body)).usage.prompt_tokens);
      expect(counted).toBeLessThanOrEqual(chatTokensBound(parseChatRequest(body)));
    }),
    { numRuns: 200 },
  );
});

test("so are the prompts of the older endpoint", async () => {
  const prompt = fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 4 }), fc.constant([65, 66, 67]));
  await fc.assert(
    fc.asyncProperty(prompt, fc.option(text, { nil: undefined }), async (prompt, suffix) => {
      const body = { model: "m", prompt, max_tokens: 1, ...(suffix !== undefined && { suffix }) };
      const counted = await count(OLDER, body);
      expect(counted).toBe((await post(OLDER, body)).usage.prompt_tokens);
      expect(counted).toBeLessThanOrEqual(completionTokensBound(parseCompletionRequest(body)));
    }),
    { numRuns: 200 },
  );
});

test("an image is left out", async () => {
  const url = "data:image/png;base64,iVBORw0KGgo=";
  const withImage = [
    { type: "text", text: "What is it?" },
    { type: "image_url", image_url: { url } },
  ];
  const ask = (content: unknown) => ({ model: "m", messages: [{ role: "user", content }] });
  expect(await count(CHAT, ask(withImage))).toBe(await count(CHAT, ask("What is it?")));
});

test("what is no call, or of another path, is refused", async () => {
  const refusal = async (body: object, headers = {}) => (await post(COUNT_PATH, body, headers)).error.code;
  expect(await refusal({ model: "m" }, { [COUNT_FIELD]: CHAT })).toBe("missing_required_parameter");
  expect(await refusal({ model: "m", messages: [] })).toBe("unknown_url");
  expect(await refusal({ model: "m", input: "x" }, { [COUNT_FIELD]: "/v1/moderations" })).toBe("unknown_url");
});
