// Continuous batching: every step decodes one batch with the next token of each running sequence and a share of the prompts
// that are still being read. Sequences come and go between steps. Knows tokens, not text; whose they are is not its affair.

import { ApiError } from "@oxbow/contract";
import { loadBatch, type Part, planBatch } from "./batch.ts";
import { type Job, newRun, type Outcome, type Run } from "./job.ts";
import type { Native } from "./native.ts";
import { choosePlace, commonPrefix, createSlots, type Slot } from "./slots.ts";

export interface SchedulerOptions {
  slots: number;
  /** Prompt and answer together, for one sequence. */
  contextTokens: number;
  /** Tokens decoded in one step, more than `slots`. */
  batchTokens: number;
  /** Jobs that may wait for a slot before further calls are refused. */
  waitingMax: number;
  /** Tokens of prefix from which on it is copied between slots; absent: a 64th of the context, 64 at least. */
  copyTokensMin?: number;
  /** The engine is beyond repair: nothing will ever be answered again. */
  onBroken(error: unknown): void;
}

/** What has been done so far. */
export interface Counters {
  promptTokens: number;
  cachedTokens: number;
  generatedTokens: number;
  steps: number;
}

export interface Scheduler {
  /** @throws ApiError `queue_full` when `waitingMax` jobs wait already. Ask before the first job of a call. */
  refuseWhenFull(): void;
  /**
   * Generates one sequence, after waiting for a slot.
   *
   * @throws ApiError `engine_failed` when the engine could not go on; the signal's reason on abort
   */
  run(job: Job): Promise<Outcome>;
  running(): number;
  waiting(): number;
  readonly counters: Readonly<Counters>;
}

export function createScheduler(native: Native, options: SchedulerOptions): Scheduler {
  const { context, vocabulary } = native;
  const slots = createSlots<Run>(options.slots);
  const counters: Counters = { promptTokens: 0, cachedTokens: 0, generatedTokens: 0, steps: 0 };
  const line: Run[] = [];
  /**
   * A copy moves a slot's whole memory, used or not. Measured on one thread (120 million weights, 8,192 tokens): 40 ms, as
   * much as computing 40 tokens. Grows past any prefix once the model's memory turns out not to be divisible.
   */
  let copyMin = options.copyTokensMin ?? Math.max(64, Math.floor(options.contextTokens / 64));
  let placements = 0;
  let looping = false;

  /**
   * One step after the other until nothing is left to do. Tokens are handed over while the engine computes the next ones,
   * so that text and sockets cost no time of the engine's; only the last token of a sequence is not kept waiting for that.
   */
  async function loop(): Promise<void> {
    looping = true;
    try {
      for (;;) {
        deliver((run) => run.ended !== null);
        dropAborted();
        await admit();
        const parts = planBatch(slots, options.batchTokens);
        if (parts.length > 0) await step(parts);
        // Runs may have ended without a step: a prompt that is only read, say.
        else if (!slots.some((slot) => slot.run !== null) && line.length === 0) break;
      }
    } catch (error) {
      for (const slot of slots) if (slot.run) leave(slot).reject(engineFailed(error));
      for (const run of line.splice(0)) run.reject(engineFailed(error));
      options.onBroken(error);
    } finally {
      looping = false;
    }
  }

  /** Hands over the tokens not seen yet of the runs that `which` picks, and settles those that have ended. */
  function deliver(which: (run: Run) => boolean): void {
    for (const slot of slots) {
      const run = slot.run;
      if (run === null || !which(run)) continue;
      const { undelivered, job } = run;
      run.undelivered = null;
      try {
        if (undelivered && !job.onToken(undelivered.token, undelivered.logprobs)) run.ended = "stop";
      } catch (error) {
        leave(slot).reject(error);
        continue;
      }
      if (run.ended === null) continue;
      leave(slot).resolve({ reason: run.ended, cachedTokens: run.cachedTokens });
    }
  }

  /** Takes the run out of its slot. The slot's memory stays, for whoever begins alike. */
  function leave(slot: Slot<Run>): Run {
    const run = slot.run!;
    slot.run = null;
    run.sampler?.dispose();
    return run;
  }

  function dropAborted(): void {
    for (const slot of slots) {
      const signal = slot.run?.job.signal;
      if (signal?.aborted) leave(slot).reject(signal.reason);
    }
    for (let i = line.length - 1; i >= 0; i--) {
      const { signal } = line[i]!.job;
      if (signal.aborted) line.splice(i, 1)[0]!.reject(signal.reason);
    }
  }

  /** Gives free slots to those who wait, in order of arrival. Who can soon copy a prompt being read waits for that. */
  async function admit(): Promise<void> {
    let free = slots.filter((slot) => slot.run === null).length;
    for (let i = 0; i < line.length && free > 0; ) {
      const run = line[i]!;
      if (soonCopied(run.job)) {
        i++;
        continue;
      }
      line.splice(i, 1);
      free--;
      await place(run);
    }
  }

  function soonCopied({ prompt, scorePrompt }: Job): boolean {
    if (scorePrompt) return false;
    let held = 0;
    let coming = 0;
    for (const { run, cache } of slots) {
      held = Math.max(held, commonPrefix(cache, prompt, prompt.length - 1));
      if (run === null || run.last !== null) continue;
      coming = Math.max(coming, commonPrefix(run.job.prompt, prompt, prompt.length - 1));
    }
    return coming - held >= copyMin;
  }

  async function place(run: Run): Promise<void> {
    const { job } = run;
    // A prompt that is scored needs the logits of each of its tokens, so none may come from memory.
    const { slot, reused, copyFrom } = choosePlace(slots, job.scorePrompt ? NO_TOKENS : job.prompt, copyMin);
    slot.run = run;
    slot.usedAt = ++placements;
    try {
      if (copyFrom !== null && copyFrom !== slot) {
        await context.copy(slot.id, copyFrom.id);
        slot.cache.length = 0;
        for (const token of copyFrom.cache) slot.cache.push(token);
      }
      cut(slot, reused);
      run.cachedTokens = slot.cache.length;
      run.sampler = native.createSampler(job.sampling);
    } catch (error) {
      leave(slot).reject(engineFailed(error));
      clear(slot);
      return;
    }
    counters.promptTokens += job.prompt.length;
    counters.cachedTokens += run.cachedTokens;
  }

  /** Leaves the slot's first `length` tokens in memory, or none where this kind of model cannot forget a part. */
  function cut(slot: Slot<Run>, length: number): void {
    if (length === slot.cache.length) return;
    if (length > 0 && context.truncate(slot.id, length)) {
      slot.cache.length = length;
      return;
    }
    if (length > 0) copyMin = Number.POSITIVE_INFINITY;
    clear(slot);
  }

  function clear(slot: Slot<Run>): void {
    slot.cache.length = 0;
    context.clear(slot.id);
  }

  /** Decodes one batch and draws the next tokens. What fails, fails the runs concerned and nobody else. */
  async function step(parts: Part[]): Promise<void> {
    const logits = loadBatch(context, parts);
    const decoded = context.decode();
    counters.steps++;
    deliver((run) => run.undelivered !== null);
    try {
      await decoded;
    } catch (error) {
      for (const { slot, run } of parts) {
        if (slot.run === run) leave(slot).reject(engineFailed(error));
        clear(slot);
      }
      return;
    }
    await Promise.all(parts.map((part, i) => (part.wanted.length > 0 ? draw(part, logits[i]!) : null)));
  }

  async function draw({ slot, run, tokens, wanted }: Part, logits: Uint32Array): Promise<void> {
    // A run may have ended while its batch was computed: by a stop string, or because its caller went away.
    if (slot.run !== run || run.ended !== null) return;
    const { job } = run;
    try {
      if (job.scorePrompt && run.last === null)
        await scorePrompt(run, slot.cache.length - tokens.length, wanted, logits);
      if (slot.cache.length < job.prompt.length) return;
      if (run.last === null) job.onPrompt?.(run.promptLogprobs);
      if (job.maxTokens === 0) {
        run.ended = "length";
        return;
      }
      const at = logits[logits.length - 1]!;
      const token = await context.sample(at, run.sampler!);
      if (token < 0 || vocabulary.isEnd(token)) {
        run.ended = "stop";
        return;
      }
      const logprobs = job.logprobs === null ? null : await context.logprobs(at, run.sampler!, token, job.logprobs);
      run.last = token;
      run.undelivered = { token, logprobs };
      run.produced++;
      counters.generatedTokens++;
      if (run.produced >= job.maxTokens || slot.cache.length + 1 >= options.contextTokens) run.ended = "length";
    } catch (error) {
      leave(slot).reject(engineFailed(error));
    }
  }

  /** Log-probabilities of the prompt's tokens that follow the ones just read. */
  async function scorePrompt(run: Run, start: number, wanted: Uint32Array, logits: Uint32Array): Promise<void> {
    const { prompt, logprobs } = run.job;
    for (const [i, at] of logits.entries()) {
      const next = prompt[start + wanted[i]! + 1];
      if (next === undefined) return;
      run.promptLogprobs.push(await context.logprobs(at, run.sampler!, next, logprobs ?? 0));
    }
  }

  return {
    refuseWhenFull() {
      // Those who came since the last step stand in line too, though there is a slot for them.
      const free = slots.filter((slot) => slot.run === null).length;
      if (line.length - free < options.waitingMax) return;
      const text = "Too many requests are waiting for this model. Please try again in 1s.";
      throw new ApiError("queue_full", text, { retryAfterMs: 1000 });
    },
    run(job) {
      if (job.signal.aborted) return Promise.reject(job.signal.reason);
      return new Promise((resolve, reject) => {
        line.push(newRun(job, resolve, reject));
        if (!looping) void loop();
      });
    },
    running: () => slots.filter((slot) => slot.run !== null).length,
    waiting: () => line.length,
    counters,
  };
}

const NO_TOKENS = Uint32Array.of(0);

function engineFailed(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError("engine_failed", "The engine could not go on with this request. Please try again.", { cause });
}
