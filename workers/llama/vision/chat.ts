// POST /v1/chat/completions for models that see. The library has a scheduler of its own: calls are handed over, and what
// comes back is cut at stop strings and written as the wire has it.

import {
  type AnswerMessage,
  type ChatChoice,
  type ChatRequest,
  createChatChunks,
  type FinishReason,
  maxTokensOf,
  needsOfChat,
  newId,
  parseChatRequest,
  refuseNeeds,
  unixSeconds,
  usageOf,
  type WorkerModel,
} from "@oxbow/contract";
import { refuseOtherModels } from "@oxbow/worker";
import { createStopFilter } from "../chat/stop.ts";
import { refuseTooLong } from "../host.ts";
import { streamResponse } from "../stream.ts";
import type { Seeing } from "./load.ts";
import { readMessages } from "./prompt.ts";

/** What this kind of worker can do; the rest is refused by name. */
const FEATURES: ReadonlySet<string> = new Set(["vision", "seed", "penalties", "multiple_choices"]);

export interface SeeingHost extends Seeing {
  model: WorkerModel;
  log(line: string): void;
}

interface Plan {
  call: ChatRequest;
  prompt: string;
  images: string[];
  promptTokens: number;
  maxTokens: number;
}

interface Choice {
  text: string;
  tokens: number;
  finish: FinishReason;
}

export async function chat(body: Record<string, unknown>, request: Request, host: SeeingHost): Promise<Response> {
  const plan = await planOf(body, host);
  const { call } = plan;
  const head = { id: newId("chatcmpl-"), created: unixSeconds(), model: host.model.id };
  const n = call.n ?? 1;
  const usage = (choices: Choice[]) =>
    usageOf({
      prompt: plan.promptTokens,
      completion: choices.reduce((sum, { tokens }) => sum + tokens, 0),
      cached: 0,
      reasoning: 0,
    });

  if (call.stream) {
    const includeUsage = call.stream_options?.include_usage ?? false;
    const obfuscate = call.stream_options?.include_obfuscation ?? false;
    return streamResponse(request, host.log, async (send, signal) => {
      const chunks = createChatChunks({ ...head, systemFingerprint: host.fingerprint, includeUsage, obfuscate });
      const one = async (index: number) => {
        const choice = await run(plan, index, host, signal, (text) => send(chunks.content(index, text)));
        send(chunks.finish(index, choice.finish));
        return choice;
      };
      const counted = usage(await Promise.all(Array.from({ length: n }, (_, index) => one(index))));
      if (includeUsage) send(chunks.usage(counted));
      return counted;
    });
  }
  const choices = await Promise.all(
    Array.from({ length: n }, (_, index) => run(plan, index, host, request.signal, () => {})),
  );
  return Response.json({
    ...head,
    object: "chat.completion",
    choices: choices.map(({ text, finish }, index): ChatChoice => {
      const message: AnswerMessage = { role: "assistant", content: text, refusal: null, annotations: [] };
      return { index, message, finish_reason: finish };
    }),
    usage: usage(choices),
    service_tier: "default",
    system_fingerprint: host.fingerprint,
  });
}

/** Tokens of such a call's prompt, images among them. */
export async function count(body: Record<string, unknown>, host: SeeingHost): Promise<number> {
  return (await read(parseChatRequest(body), host)).promptTokens;
}

async function planOf(body: Record<string, unknown>, host: SeeingHost): Promise<Plan> {
  const call = parseChatRequest(body);
  refuseOtherModels(host.model, call.model);
  refuseNeeds(needsOfChat(call), FEATURES, host.model.id);
  const seen = await read(call, host);
  refuseTooLong(seen.promptTokens, host.contextTokens, "messages");
  const room = host.contextTokens - seen.promptTokens;
  return { call, ...seen, maxTokens: Math.min(maxTokensOf(call) ?? room, room) };
}

async function read(call: ChatRequest, { context, template, controls }: SeeingHost) {
  const { messages, images } = readMessages(call.messages, controls);
  const prompt = template.render(messages, { tools: [] });
  const { tokens } = await context.tokenize(prompt, { media_paths: images });
  return { prompt, images, promptTokens: tokens.length };
}

/** One choice. @throws the signal's reason */
async function run(
  { call, prompt, images, maxTokens }: Plan,
  index: number,
  { context }: SeeingHost,
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<Choice> {
  signal.throwIfAborted();
  const filter = createStopFilter(typeof call.stop === "string" ? [call.stop] : (call.stop ?? []));
  let text = "";
  let tokens = 0;
  let stopped = false;
  const put = (piece: string) => {
    text += piece;
    if (piece !== "") onText(piece);
  };
  const ended = Promise.withResolvers<Choice>();
  const job = await context.parallel.completion(
    { prompt, media_paths: images, n_predict: maxTokens, ...samplingOf(call, index) },
    (_, { token }) => {
      if (stopped) return;
      tokens++;
      const out = filter.push(token);
      put(out.text);
      if (!out.stopped) return;
      stopped = true;
      job.stop();
      ended.resolve({ text, tokens, finish: "stop" });
    },
  );
  const onAbort = () => {
    stopped = true;
    job.stop();
    ended.reject(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  job.promise.then(
    ({ stopped_eos }) => {
      put(filter.end());
      // By our own count: the library's (1.7.15) may hold a token of the call before, when that one was stopped.
      ended.resolve({ text, tokens, finish: stopped_eos ? "stop" : "length" });
    },
    // Stopped by us, and already settled; anything else is a failure.
    (error) => ended.reject(error),
  );
  return ended.promise.finally(() => signal.removeEventListener("abort", onAbort));
}

/** The API's own defaults, not the library's: nothing is cut off or repeated less unless the caller says so. */
function samplingOf(call: ChatRequest, index: number): Record<string, unknown> {
  const seed = call.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  return {
    temperature: call.temperature ?? 1,
    top_p: call.top_p ?? 1,
    // The library draws at a temperature of 0 too (1.7.15, measured): the likeliest token alone is what is asked for.
    top_k: call.temperature === 0 ? 1 : 0,
    min_p: 0,
    penalty_repeat: 1,
    penalty_last_n: -1,
    penalty_freq: call.frequency_penalty ?? 0,
    penalty_present: call.presence_penalty ?? 0,
    seed: Number(BigInt.asUintN(31, BigInt(seed) + BigInt(index))),
  };
}
