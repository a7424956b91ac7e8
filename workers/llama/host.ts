// What an endpoint works with: the model, its scheduler, and the limits of a call.

import { ApiError, type WorkerModel } from "@oxbow/contract";
import type { Outcome } from "./job.ts";
import type { LoadedModel } from "./load.ts";
import type { Scheduler } from "./scheduler.ts";

export interface Host {
  model: WorkerModel;
  loaded: LoadedModel;
  scheduler: Scheduler;
  slots: number;
  /** A random whole number below 2^32, for calls without a seed. */
  randomSeed(): number;
  log(line: string): void;
}

/** What this kind of worker can do; the rest is refused by name. */
export const LLAMA_FEATURES: ReadonlySet<string> = new Set([
  "tools",
  "reasoning",
  "structured_outputs",
  "logprobs",
  "logit_bias",
  "penalties",
  "seed",
  "multiple_choices",
  "echo",
  "best_of",
]);

/**
 * Holds a prompt to the context, in which there must be room for one token of answer at least.
 *
 * @param param the field that holds the prompt
 * @throws ApiError `context_length_exceeded`
 */
export function refuseTooLong(tokens: number, contextTokens: number, param: "messages" | "prompt"): void {
  if (tokens < contextTokens) return;
  const text = `This model's maximum context length is ${contextTokens} tokens. However, your ${param} resulted in ${tokens} tokens. Please reduce the length of the ${param}.`;
  throw new ApiError("context_length_exceeded", text, { param });
}

/**
 * The same for a text whose tokens were not counted: no token has more than `tokenBytesMax` bytes, and counting megabytes
 * holds up everybody else.
 */
export function refuseHuge(text: string, loaded: LoadedModel, param: "messages" | "prompt"): void {
  refuseTooLong(Math.ceil(text.length / loaded.vocabulary.tokenBytesMax), loaded.contextTokens, param);
}

/**
 * Runs `count` pieces of work, as many at a time as there are slots, so that one call cannot fill the line. The first
 * failure stops the others and is thrown.
 */
export async function runChoices(
  host: Host,
  count: number,
  signal: AbortSignal,
  work: (choice: number, signal: AbortSignal) => Promise<Outcome>,
): Promise<Outcome[]> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const outcomes: Outcome[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const choice = next++;
      outcomes[choice] = await work(choice, either);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(count, host.slots) }, lane));
  } catch (error) {
    stop.abort(error);
    throw error;
  }
  return outcomes;
}
