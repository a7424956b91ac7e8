// What the tests of answers share: a real server that answers as it is told to, an engine of a kind with repairs in front of
// it, and chunks to answer with.

import { sseEvent } from "@oxbow/contract";
import { violationsOf as shapeViolations } from "../../test/oracle/oracle.ts";
import { CHAT_STREAM_RULES, FRAMING_RULES } from "../../test/rules.ts";
import { type SeenStream, seenStream } from "../../test/stream.ts";
import type { RemoteKind } from "../config.ts";
import type { EngineAnswer, Frame } from "./answer.ts";
import { createEngine } from "./engine.ts";
import { REPAIRS } from "./repairs/repairs.ts";
import { TOOL_CHOICES } from "./tool-choice.ts";

export const CHAT = "/v1/chat/completions";
const remoteOf = (repairs: string[]): RemoteKind => ({
  health: "/health",
  keepAlive: true,
  usage: "asked",
  privateFields: [],
  rename: {},
  roles: {},
  toolChoices: [...TOOL_CHOICES],
  callRepairs: [],
  refusals: [],
  repairs,
});
/** The names of all repairs. */
export const EVERY = Object.keys(REPAIRS);

/** Engines that answer what they are told to. Stop them when the tests are through. */
export function openEngines() {
  /** By the first part of a base URL's path. */
  const answers = new Map<string, () => Response>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => answers.get(new URL(request.url).pathname.split("/")[1]!)!(),
  });
  let count = 0;

  /** What an engine's answer comes to, for a kind with these repairs. */
  async function call(
    response: () => Response,
    body: object,
    repairs = EVERY,
    path = CHAT,
    names?: Map<string, string>,
  ): Promise<EngineAnswer> {
    const name = String(count++);
    answers.set(name, response);
    const engine = createEngine({
      id: "e",
      kind: "k",
      features: [],
      simulated: false,
      slots: 1,
      address: { baseUrl: `${server.url.origin}/${name}/v1` },
      remote: remoteOf(repairs),
      ...(names ? { names } : {}),
    });
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    return engine
      .call(path, bytes, { signal: new AbortController().signal, model: "m" })
      .finally(() => answers.delete(name));
  }

  /** The stream that callers see, for what an engine sends. */
  async function streamed(text: string, request: object = {}, repairs = EVERY, cuts: number[] = []): Promise<string> {
    const whole = bytesOf(text);
    const borders = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
    const parts = borders.slice(1).map((end, index) => whole.subarray(borders[index], end));
    const body = { model: "m", messages: [], stream: true, ...request };
    return textOf(await framesOf(await call(() => events(parts.filter((part) => part.length > 0)), body, repairs)));
  }

  return { call, streamed, stop: () => server.stop(true) };
}

const SSE = { "content-type": "text/event-stream; charset=utf-8" };
/** Sends the parts as chunks of their own. */
export function events(parts: Uint8Array[], more: Record<string, string> = {}): Response {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      for (const part of parts) {
        controller.enqueue(part);
        await Bun.sleep(0);
      }
      controller.close();
    },
  });
  return new Response(body, { headers: { ...SSE, ...more } });
}
export const bytesOf = (text: string) => new TextEncoder().encode(text);

export async function framesOf(answer: EngineAnswer): Promise<Frame[]> {
  if (answer.kind === "whole") throw new Error("not a stream");
  const frames: Frame[] = [];
  for (;;) {
    const frame = await answer.events.next();
    if (frame === null) return frames;
    frames.push(frame);
  }
}
export const textOf = (frames: Frame[]) => Buffer.concat(frames.map((frame) => frame.bytes)).toString();

export interface WireCall {
  index?: number;
  id?: string | null;
  type?: string | null;
  function: { name?: string | null; arguments?: string | object };
}
export interface WireDelta {
  role?: string | null;
  content?: string | null;
  tool_calls?: WireCall[] | null;
}
export interface WireChoice {
  index: number;
  delta?: WireDelta;
  finish_reason?: string | null;
}
export interface WireChunk {
  created?: number;
  choices?: WireChoice[] | null;
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens?: number } | null;
}

export const MODEL = "m";
export const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model: MODEL };
export const chunk = (
  delta: WireDelta & { reasoning?: string; thinking?: string; reasoning_content?: string; refusal?: null },
  finish: string | null = null,
  index = 0,
) => ({
  ...HEAD,
  choices: [{ index, delta, finish_reason: finish }],
});
export const DONE = "data: [DONE]\n\n";
export const write = (...chunks: object[]) => chunks.map(sseEvent).join("") + DONE;
export const read = (text: string, request: object = {}) => seenStream(text, { model: MODEL, ...request }, true);
/** What the rules of the SDKs and the published schema say against a stream. */
export function violations(seen: SeenStream): string[] {
  return [
    ...[...FRAMING_RULES, ...CHAT_STREAM_RULES].flatMap((rule) => {
      const found = rule.seen(seen);
      return found === undefined ? [] : [`${rule.never}: ${JSON.stringify(found).slice(0, 300)}`];
    }),
    ...seen.chunks.flatMap((each) => shapeViolations("CreateChatCompletionStreamResponse", each)),
  ];
}
