// POST /completions, the older form: request, answer and chunks.
// Source: openai-openapi 2.3.0, `CreateCompletionRequest`, read 2026-11-21, and recorded streams.

import Type, { type Static } from "typebox";
import { LogitBias, penalty, Seed, Stop, StreamOptions } from "./chat.ts";
import type { Usage } from "./chat-answer.ts";
import { ApiError } from "./errors.ts";
import { sseEvent } from "./sse.ts";
import { createParser } from "./validate.ts";

const Tokens = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

export const CompletionRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  prompt: Type.Union([
    Type.String(),
    Type.Array(Type.String(), { minItems: 1, maxItems: 2048 }),
    Tokens,
    Type.Array(Tokens, { minItems: 1, maxItems: 2048 }),
  ]),
  best_of: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
  echo: Type.Optional(Type.Boolean()),
  frequency_penalty: Type.Optional(penalty()),
  presence_penalty: Type.Optional(penalty()),
  logit_bias: Type.Optional(LogitBias),
  logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 5 })),
  max_tokens: Type.Optional(Type.Integer({ minimum: 0 })),
  n: Type.Optional(Type.Integer({ minimum: 1, maximum: 128 })),
  seed: Type.Optional(Seed),
  stop: Type.Optional(Stop),
  stream: Type.Optional(Type.Boolean()),
  stream_options: Type.Optional(StreamOptions),
  suffix: Type.Optional(Type.String()),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  user: Type.Optional(Type.String()),
});
export type CompletionRequest = Static<typeof CompletionRequest>;

const parseShape = createParser(CompletionRequest);

/** @throws ApiError naming the first bad field */
export function parseCompletionRequest(body: Record<string, unknown>): CompletionRequest {
  const call = parseShape(body);
  const refuse = (text: string, param: string) => new ApiError("invalid_combination", text, { param });
  if (call.stream_options && !call.stream) {
    throw refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  }
  if (call.best_of && call.best_of < (call.n ?? 1)) throw refuse("'best_of' must be at least 'n'.", "best_of");
  if (call.best_of && call.best_of > (call.n ?? 1) && call.stream) {
    throw refuse("'best_of' above 'n' cannot be streamed: the best is only known at the end.", "best_of");
  }
  return call;
}

/** The prompts of a call, each a text or a list of tokens, in order. */
export function promptsOf(call: CompletionRequest): (string | number[])[] {
  const { prompt } = call;
  if (typeof prompt === "string") return [prompt];
  if (typeof prompt[0] === "number") return [prompt as number[]];
  return prompt as (string | number[])[];
}

/** Tokens when the caller names no limit: the older API's own default. */
export const COMPLETION_TOKENS_DEFAULT = 16;

export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[] | null;
  text_offset: number[];
}

export interface CompletionChoice {
  text: string;
  index: number;
  logprobs: CompletionLogprobs | null;
  finish_reason: "stop" | "length" | "content_filter" | null;
}

export interface Completion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: CompletionChoice[];
  usage?: Usage | null;
  system_fingerprint?: string;
}

export interface CompletionHead {
  id: string;
  created: number;
  model: string;
  systemFingerprint: string;
  includeUsage: boolean;
}

/** Writes the chunks of one stream. `finish_reason` rides on the last chunk with text; there is no empty tail. */
export function createCompletionChunks(head: CompletionHead) {
  const event = (choices: CompletionChoice[], usage: Usage | null) =>
    sseEvent({
      id: head.id,
      object: "text_completion",
      created: head.created,
      model: head.model,
      system_fingerprint: head.systemFingerprint,
      choices,
      ...(head.includeUsage ? { usage } : {}),
    });
  return {
    text: (choice: CompletionChoice) => event([choice], null),
    /** Call only with `includeUsage`. */
    usage: (usage: Usage) => event([], usage),
  };
}
