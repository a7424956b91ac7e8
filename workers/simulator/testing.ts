// What the tests of chat share: a simulator with four models, and its answers, whole and streamed.

import { expect } from "bun:test";
import type { WorkerConfig } from "@oxbow/contract";
import { createSimulator } from "./server.ts";
import { auditChatStream } from "./test-stream.ts";

const model = (id: string, capabilities: string[], contextTokens = 8192, category = "chat") => ({
  id,
  aliases: [`${id}-alias`],
  category,
  capabilities,
  contextTokens,
});
export const config = (more: Partial<WorkerConfig> = {}): WorkerConfig => ({
  socket: "",
  models: [
    model("m", ["tools", "vision"]),
    model("thinker", ["tools", "reasoning"]),
    model("small", ["tools"], 64),
    model("vectors", ["embeddings"], 512, "embeddings"),
  ],
  slots: 8,
  threads: 1,
  options: {},
  ...more,
});
export const handler = createSimulator(config());

export type Body = Record<string, unknown>;
export const send = (
  body: Body,
  headers: Record<string, string> = {},
  path = "/v1/chat/completions",
  handle = handler,
) => handle(new Request(`http://worker${path}`, { method: "POST", body: JSON.stringify(body), headers }));
export const user = (content: unknown) => [{ role: "user", content }];

interface Message {
  role: string;
  content: string | null;
  reasoning_content?: string;
  tool_calls?: { id: string; type: string; function: { name: string; arguments: string } }[];
  function_call?: { name: string; arguments: string };
}
interface Entry {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: Omit<Entry, "top_logprobs">[];
}
export interface Whole {
  id: string;
  model: string;
  object: string;
  system_fingerprint: string;
  choices: { index: number; message: Message; finish_reason: string; logprobs?: { content: Entry[] } }[];
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
    completion_tokens_details: { reasoning_tokens: number };
  };
}

export async function whole(body: Body, handle = handler): Promise<Whole> {
  const response = await send({ model: "m", messages: user("Hello there"), ...body }, {}, undefined, handle);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
  return (await response.json()) as Whole;
}
export async function streamed(body: Body) {
  const response = await send({ model: "m", messages: user("Hello there"), stream: true, ...body });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  return auditChatStream(await response.text(), (body.n as number) ?? 1);
}
async function refused(body: Body) {
  const response = await send({ model: "m", messages: user("Hello there"), ...body });
  const { error } = (await response.json()) as { error: { code: string; param: string | null; message: string } };
  return { status: response.status, ...error };
}
export async function refusal(body: Body) {
  const { status, code, param } = await refused(body);
  return [status, code, param] as const;
}
export const refusalText = async (body: Body) => (await refused(body)).message;
export const textOf = (answer: Whole, index = 0) => answer.choices[index]!.message.content!;
export const callsOf = (answer: Whole) =>
  (answer.choices[0]!.message.tool_calls ?? []).map((call) => [
    call.function.name,
    JSON.parse(call.function.arguments),
  ]);

export const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get current weather for a location",
    parameters: {
      type: "object",
      properties: { location: { type: "string" }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } },
      required: ["location"],
    },
  },
};
