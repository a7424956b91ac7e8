// POST /chat/completions, the answer: whole and as chunks. Every key that OpenAI sends is sent, nulls included, because
// SDKs break on absent keys that the published schema calls optional (test/rules.ts lists which).

import { newId } from "./ids.ts";
import { sseEvent } from "./sse.ts";

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number; audio_tokens: number };
  completion_tokens_details: {
    reasoning_tokens: number;
    audio_tokens: number;
    accepted_prediction_tokens: number;
    rejected_prediction_tokens: number;
  };
}

/** @param counts tokens; `cached` is part of `prompt`, `reasoning` part of `completion` */
export function usageOf(counts: { prompt: number; completion: number; cached?: number; reasoning?: number }): Usage {
  return {
    prompt_tokens: counts.prompt,
    completion_tokens: counts.completion,
    total_tokens: counts.prompt + counts.completion,
    prompt_tokens_details: { cached_tokens: counts.cached ?? 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: counts.reasoning ?? 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

export interface TopLogprob {
  token: string;
  logprob: number;
  bytes: number[] | null;
}
/** One token of the answer. All four keys are always there. */
export interface TokenLogprob extends TopLogprob {
  top_logprobs: TopLogprob[];
}

export interface FunctionCall {
  name: string;
  /** JSON text, `{}` for a function without parameters. */
  arguments: string;
}

export interface AnswerToolCall {
  id: string;
  type: "function";
  function: FunctionCall;
}

export interface AnswerMessage {
  role: "assistant";
  content: string | null;
  refusal: null;
  annotations: [];
  reasoning_content?: string;
  tool_calls?: AnswerToolCall[];
  function_call?: FunctionCall;
}

export interface ChatChoice {
  index: number;
  message: AnswerMessage;
  finish_reason: FinishReason;
  logprobs?: { content: TokenLogprob[] | null; refusal: null } | null;
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: ChatChoice[];
  usage: Usage;
  service_tier: string;
  system_fingerprint: string;
}

/** What is the same in every chunk of a stream. */
export interface ChatHead {
  /** `chatcmpl-…` */
  id: string;
  /** Unix seconds. */
  created: number;
  model: string;
  systemFingerprint: string;
  /** From `stream_options`: a `usage` key in every chunk, and a last chunk that holds the counts. */
  includeUsage: boolean;
  /** From `stream_options`: random padding that hides the length of tokens from who watches the traffic. */
  obfuscate: boolean;
}

export function newToolCallId(): string {
  return newId("call_");
}

/**
 * Writes the chunks of one stream as events, ready to send. It keeps what SDKs rely on: the role once per choice, in its
 * first chunk; id, type and name of a tool call once, in its first chunk; nothing of a choice after its finish.
 */
export function createChatChunks(head: ChatHead) {
  // The head is the same in every chunk and a token is a few letters: most of the work is done once.
  const { id, created, model, systemFingerprint } = head;
  const start = JSON.stringify({ id, object: "chat.completion.chunk", created, model, service_tier: "default" });
  const prefix = `data: ${start.slice(0, -1)},"system_fingerprint":${JSON.stringify(systemFingerprint)},"choices":[`;
  const nullUsage = head.includeUsage ? ',"usage":null' : "";
  const started = new Set<number>();

  const event = (choices: string, usage = nullUsage) => `${prefix}${choices}]${usage}${padding()}}\n\n`;
  const padding = () => (head.obfuscate ? `,"obfuscation":"${"x".repeat(1 + Math.floor(Math.random() * 16))}"` : "");

  /** @param delta what is new, as JSON members without braces */
  function chunk(index: number, delta: string, finish: FinishReason | null, logprobs?: TokenLogprob[] | null): string {
    const with_ =
      logprobs === undefined ? "" : `,"logprobs":${logprobs && JSON.stringify({ content: logprobs, refusal: null })}`;
    return event(`{"index":${index},"delta":{${delta}}${with_},"finish_reason":${finish ? `"${finish}"` : "null"}}`);
  }

  function role(index: number, content: '""' | "null"): string {
    if (started.has(index)) return "";
    started.add(index);
    return chunk(index, `"role":"assistant","content":${content},"refusal":null`, null);
  }

  return {
    /** @param logprobs the tokens of this text, when the caller asked for them */
    content: (index: number, text: string, logprobs?: TokenLogprob[]): string =>
      role(index, '""') + chunk(index, `"content":${JSON.stringify(text)}`, null, logprobs),

    reasoning: (index: number, text: string): string =>
      role(index, '""') + chunk(index, `"reasoning_content":${JSON.stringify(text)}`, null),

    toolCallStart: (index: number, call: number, id: string, name: string): string =>
      role(index, "null") +
      chunk(
        index,
        `"tool_calls":[${JSON.stringify({ index: call, id, type: "function", function: { name, arguments: "" } })}]`,
        null,
      ),

    toolCallArguments: (index: number, call: number, fragment: string): string =>
      chunk(index, `"tool_calls":[${JSON.stringify({ index: call, function: { arguments: fragment } })}]`, null),

    functionCallStart: (index: number, name: string): string =>
      role(index, "null") + chunk(index, `"function_call":${JSON.stringify({ name, arguments: "" })}`, null),

    functionCallArguments: (index: number, fragment: string): string =>
      chunk(index, `"function_call":${JSON.stringify({ arguments: fragment })}`, null),

    /** @param logprobs of tokens that left no text, when the caller asked for them */
    finish: (index: number, reason: FinishReason, logprobs?: TokenLogprob[]): string =>
      role(index, '""') + chunk(index, "", reason, logprobs?.length ? logprobs : undefined),

    /** The last chunk before `[DONE]`. Call only with `includeUsage`. */
    usage: (usage: Usage): string => event("", `,"usage":${JSON.stringify(usage)}`),
  };
}

/** What an engine sends in place of the rest of a stream that it cannot finish. */
export function inBandError(body: { error: unknown }): string {
  return sseEvent(body);
}
