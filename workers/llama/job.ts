// What is asked of the scheduler and what comes back: one sequence of tokens after a prompt.

import type { Logprobs, Sampler, SamplerSettings } from "./native.ts";

/** One sequence to generate. */
export interface Job {
  /** At least one token, fewer than the context holds. */
  prompt: Uint32Array;
  /** 0: the prompt is only read. */
  maxTokens: number;
  sampling: SamplerSettings;
  /** How many of the most likely tokens to report with each one; null: no log-probabilities at all. */
  logprobs: number | null;
  /** Report log-probabilities of the prompt's tokens too. It is then computed whole, whatever is in memory. */
  scorePrompt: boolean;
  /** Takes each token as it comes, and says whether to go on. The token that ends a text is not among them. */
  onToken(token: number, logprobs: Logprobs | null): boolean;
  /** Takes the log-probabilities of the prompt before the first token: an entry per token, none unless asked for. */
  onPrompt?(logprobs: (Logprobs | null)[]): void;
  signal: AbortSignal;
}

export interface Outcome {
  /** `length` also when the context is full. */
  reason: "stop" | "length";
  /** Tokens of the prompt that were in memory. */
  cachedTokens: number;
}

/** A job on its way through the scheduler. */
export interface Run {
  readonly job: Job;
  /** Made when the run gets its slot. */
  sampler: Sampler | null;
  /** The latest token, which the next step feeds; null while the prompt is being read. */
  last: number | null;
  produced: number;
  cachedTokens: number;
  /** One entry per token of the prompt that has been scored, null for the first. */
  promptLogprobs: (Logprobs | null)[];
  /** A token that `onToken` has not seen yet. */
  undelivered: { token: number; logprobs: Logprobs | null } | null;
  /** Set when nothing more will be generated. */
  ended: Outcome["reason"] | null;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

export function newRun(job: Job, resolve: Run["resolve"], reject: Run["reject"]): Run {
  return {
    job,
    sampler: null,
    last: null,
    produced: 0,
    cachedTokens: 0,
    promptLogprobs: job.scorePrompt ? [null] : [],
    undelivered: null,
    ended: null,
    resolve,
    reject,
  };
}
