// The simulated engine behind the endpoints: slots, prefix cache, pace and counts. A job holds a slot from its turn to
// the end of its answer, whichever way it ends.

import { ApiError, type WorkerConfig } from "@oxbow/contract";
import { contextError, type Simulation } from "./faults.ts";
import { createMetrics } from "./metrics.ts";
import type { SimulatorOptions } from "./options.ts";
import { createPace } from "./pace.ts";
import { BLOCK_TOKENS, createPrefixCache } from "./prefix-cache.ts";
import { createSlots } from "./slots.ts";

export interface JobRequest {
  model: { id: string; contextTokens: number };
  /** Token ids of each prompt. */
  prompts: number[][];
  /** Tokens that the answer to one prompt may have, when the caller said so. */
  tokensMax: number | undefined;
  /** Whatever else the body held: `priority` and `cache_salt` are engines' own fields, not OpenAI's. */
  body: Record<string, unknown>;
  simulation: Simulation;
  signal: AbortSignal;
}

export interface Job {
  promptTokens: number;
  cachedTokens: number;
  /** Tokens that fit behind the longest prompt. */
  roomTokens: number;
  firstMs: number;
  betweenMs: number;
  /** Aborts when the caller hangs up and when the engine falls asleep. */
  signal: AbortSignal;
  /** Gives the slot back; a second call does nothing. @param tokens of the answer; 0 when it failed */
  end(reason: string, tokens: number): void;
}

export interface Engine {
  /** @throws ApiError `context_length_exceeded`, `queue_full`, `invalid_value` (priority), `model_not_ready` (asleep) */
  admit(request: JobRequest): Promise<Job>;
  metrics(): string;
  sleep(): void;
  wakeUp(): void;
  isSleeping(): boolean;
}

export function createEngine(config: WorkerConfig, options: SimulatorOptions): Engine {
  const lowFirst = options.dress === "vllm";
  const slots = createSlots({ slots: config.slots, waitingMax: options.waitingMax, lowFirst });
  const cache = createPrefixCache(Math.floor(options.cacheTokens / BLOCK_TOKENS));
  const modelName = config.models[0]?.id ?? "simulator";
  const metrics = createMetrics({ dress: options.dress, modelName, kvTokens: options.kvTokens });
  let asleep = new AbortController();

  async function admit(request: JobRequest): Promise<Job> {
    const { model, prompts, simulation, tokensMax } = request;
    const priority = priorityOf(request.body, options);
    const longest = prompts.reduce((most, tokens) => Math.max(most, tokens.length), 0);
    // A prompt that leaves no room for one token of answer does not fit either.
    if (longest + Math.max(tokensMax ?? 1, 1) > model.contextTokens) {
      throw contextError(model.contextTokens, longest, longest < model.contextTokens ? tokensMax : 0);
    }
    const signal = AbortSignal.any([request.signal, asleep.signal]);
    if (asleep.signal.aborted) throw asleep.signal.reason;
    const release = await slots.take(priority, signal);

    const salt = typeof request.body.cache_salt === "string" ? request.body.cache_salt : "";
    let promptTokens = 0;
    let cachedTokens = 0;
    for (const tokens of prompts) {
      promptTokens += tokens.length;
      cachedTokens += cache.visit(`${model.id}\n${salt}`, tokens);
    }
    metrics.prompt(promptTokens, cachedTokens);
    metrics.hold(promptTokens);
    const pace = createPace({
      ttftMs: simulation.ttftMs ?? options.ttftMs,
      promptMsPerToken: options.promptMsPerToken,
      itlMs: simulation.itlMs ?? options.itlMs,
    });
    const firstMs = pace.firstMs(promptTokens - cachedTokens);
    metrics.firstToken(firstMs);

    let ended = false;
    function end(reason: string, tokens: number): void {
      if (ended) return;
      ended = true;
      metrics.hold(-promptTokens);
      metrics.finished(reason, tokens);
      request.signal.removeEventListener("abort", hungUp);
      release();
    }
    // At once, and not when the answer next looks at its signal.
    const hungUp = () => end("abort", 0);
    request.signal.addEventListener("abort", hungUp, { once: true });
    const roomTokens = model.contextTokens - longest;
    return { promptTokens, cachedTokens, roomTokens, firstMs, betweenMs: pace.betweenMs, signal, end };
  }

  return {
    admit,
    metrics: () => metrics.render(slots.running(), slots.waiting()),
    sleep() {
      asleep.abort(new ApiError("model_not_ready", "The engine is asleep. Wake it up first.", { retryAfterMs: 1000 }));
      cache.clear();
    },
    wakeUp() {
      if (asleep.signal.aborted) asleep = new AbortController();
    },
    isSleeping: () => asleep.signal.aborted,
  };
}

/** @throws ApiError for a priority that is no integer, or that a vLLM without priority scheduling refuses */
function priorityOf(body: Record<string, unknown>, options: SimulatorOptions): number {
  const priority = body.priority ?? 0;
  if (!Number.isSafeInteger(priority)) {
    throw new ApiError("invalid_type", "Invalid type for 'priority': expected an integer.", { param: "priority" });
  }
  if (options.prioritySupported) return priority as number;
  if (options.dress === "vllm" && priority !== 0) {
    const text = `Got priority ${priority} but Priority scheduling is not enabled.`;
    throw new ApiError("invalid_value", text, { param: "priority" });
  }
  return 0;
}
