// The scheduler on a real engine and generated models; what the library's own evaluation says is the yardstick.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { ApiError } from "@oxbow/contract";
import type { LlamaContext, LlamaModel, Token } from "node-llama-cpp";
import { tinyRandom } from "./fixtures.ts";
import type { Outcome } from "./job.ts";
import type { LoadedModel } from "./load.ts";
import type { Logprobs, Native } from "./native.ts";
import { createScheduler, type Scheduler, type SchedulerOptions } from "./scheduler.ts";
import { greedyJob, loadHere, temporaryDirectory } from "./testing.ts";

const SLOTS = 4;
const CONTEXT_TOKENS = 256;
const directory = temporaryDirectory();
let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadHere(tinyRandom(directory.path), SLOTS, CONTEXT_TOKENS);
});
afterAll(directory.remove);

function fresh(options: Partial<SchedulerOptions> = {}, native: Native = loaded.native): Scheduler {
  for (let slot = 0; slot < SLOTS; slot++) native.context.clear(slot);
  const onBroken = (error: unknown) => {
    throw error;
  };
  return createScheduler(native, {
    slots: SLOTS,
    contextTokens: CONTEXT_TOKENS,
    batchTokens: 64,
    waitingMax: 8,
    onBroken,
    ...options,
  });
}

/** Prompts of several lengths that have nothing in common. */
function promptOf(seed: number, length: number): number[] {
  return Array.from({ length }, (_, i) => (seed * 131 + i * 17 + ((i * i) % 7)) % 500);
}

async function generate(
  scheduler: Scheduler,
  prompt: number[],
  maxTokens: number,
): Promise<{ tokens: number[] } & Outcome> {
  const tokens: number[] = [];
  return { ...(await scheduler.run(greedyJob(prompt, maxTokens, tokens))), tokens };
}

test("greedy tokens are those of the library's own evaluation", async () => {
  const scheduler = fresh();
  const [, model] = loaded.keep as [unknown, LlamaModel, LlamaContext];
  const reference = await model.createContext({ contextSize: CONTEXT_TOKENS, batchSize: 64, threads: 1 });
  const sequence = reference.getSequence();
  for (const length of [1, 5, 64, 65, 130]) {
    const prompt = promptOf(length, length);
    const expected: number[] = [];
    await sequence.clearHistory();
    for await (const token of sequence.evaluate(prompt as Token[], { temperature: 0 })) {
      if (model.isEogToken(token) || expected.push(token) === 20) break;
    }
    expect((await generate(scheduler, prompt, 20)).tokens).toEqual(expected);
  }
  await reference.dispose();
});

test("sequences side by side say what each says alone", async () => {
  const scheduler = fresh();
  const prompts = Array.from({ length: 12 }, (_, i) => promptOf(i, 3 + 11 * i));
  const alone: number[][] = [];
  for (const prompt of prompts) alone.push((await generate(scheduler, prompt, 24)).tokens);
  const together = await Promise.all(prompts.map((prompt) => generate(scheduler, prompt, 24)));
  expect(together.map(({ tokens }) => tokens)).toEqual(alone);
});

test("the next turn of a conversation costs its new tokens only", async () => {
  const scheduler = fresh();
  const first = promptOf(1, 50);
  const { tokens, cachedTokens } = await generate(scheduler, first, 10);
  expect(cachedTokens).toBe(0);
  const second = [...first, ...tokens, ...promptOf(2, 10)];
  const again = await generate(scheduler, second, 10);
  // The last token of an answer is never fed back: nobody asked what follows it.
  expect(again.cachedTokens).toBe(59);
  expect((await generate(fresh(), second, 10)).tokens).toEqual(again.tokens);
  expect(scheduler.counters).toMatchObject({ promptTokens: 120, cachedTokens: 59, generatedTokens: 20 });
});

test("sequences with the same beginning read it once", async () => {
  const scheduler = fresh({ copyTokensMin: 32 });
  const system = promptOf(3, 100);
  const prompts = [1, 2, 3].map((seed) => [...system, ...promptOf(seed, 5)]);
  const together = await Promise.all(prompts.map((prompt) => generate(scheduler, prompt, 12)));
  expect(together.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 100, 100]);
  for (const [i, prompt] of prompts.entries()) {
    expect((await generate(fresh(), prompt, 12)).tokens).toEqual(together[i]!.tokens);
  }
});

test("an abort ends a sequence within a token and frees its slot", async () => {
  const scheduler = fresh();
  const stop = new AbortController();
  const tokens: number[] = [];
  const job = { ...greedyJob(promptOf(1, 5), 200, tokens), signal: stop.signal };
  const running = scheduler.run({
    ...job,
    onToken(token) {
      if (tokens.push(token) === 3) stop.abort(new Error("gone"));
      return true;
    },
  });
  await expect(running).rejects.toThrow("gone");
  expect(tokens.length).toBeLessThanOrEqual(4);
  expect(scheduler.running()).toBe(0);
  expect((await generate(scheduler, promptOf(2, 5), 5)).tokens).toHaveLength(5);
});

test("who waits in line may leave it, and a full line refuses", async () => {
  const scheduler = fresh({ waitingMax: 2 });
  const stop = new AbortController();
  const running = Array.from({ length: SLOTS }, (_, i) => generate(scheduler, promptOf(i, 4), 40));
  const waiting = [1, 2].map((seed) =>
    scheduler
      .run({ ...greedyJob(promptOf(seed, 4), 5, []), signal: stop.signal })
      .catch((error: Error) => error.message),
  );
  const refused = captured(() => scheduler.refuseWhenFull());
  expect(refused).toMatchObject({ row: "queue_full", retryAfterMs: 1000 });
  stop.abort(new Error("gone"));
  expect(await Promise.all(waiting)).toEqual(["gone", "gone"]);
  expect(() => scheduler.refuseWhenFull()).not.toThrow();
  await Promise.all(running);
});

function captured(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
}

test("a full context ends a sequence with length, at exactly its size", async () => {
  const { reason, tokens } = await generate(fresh(), promptOf(1, CONTEXT_TOKENS - 6), 1000);
  expect({ reason, tokens: tokens.length }).toEqual({ reason: "length", tokens: 6 });
});

test("a long prompt does not keep others from going on", async () => {
  const scheduler = fresh();
  const order: string[] = [];
  const note = (name: string, prompt: number[], maxTokens: number) =>
    scheduler.run({
      ...greedyJob(prompt, maxTokens, []),
      onToken: () => {
        order.push(name);
        return true;
      },
    });
  const short = note("short", promptOf(1, 3), 30);
  while (order.length < 3) await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([short, note("long", promptOf(2, 240), 2)]);
  // A quarter of a batch of 64 a step: the long prompt takes 15 steps, in each of which the other gets a token.
  expect(order.indexOf("long")).toBeGreaterThanOrEqual(15);
});

test("a batch that the engine refuses fails those in it, and nobody after them", async () => {
  let failures = 1;
  const failing: Native = {
    ...loaded.native,
    context: {
      ...loaded.native.context,
      decode: () => (failures-- > 0 ? Promise.reject(new Error("Eval has failed")) : loaded.native.context.decode()),
    },
  };
  const scheduler = fresh({}, failing);
  const jobs = Array.from({ length: SLOTS + 2 }, (_, i) => generate(scheduler, promptOf(i, 4), 5));
  const results = await Promise.allSettled(jobs);
  const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason as ApiError] : []));
  expect(failed.map(({ row }) => row)).toEqual(Array.from({ length: SLOTS }, () => "engine_failed"));
  expect((await generate(scheduler, promptOf(9, 4), 5)).tokens).toEqual(
    (await generate(fresh(), promptOf(9, 4), 5)).tokens,
  );
});

test("what a taker throws fails its own sequence only", async () => {
  const scheduler = fresh();
  const bad = scheduler.run({
    ...greedyJob(promptOf(1, 4), 20, []),
    onToken: () => {
      throw new Error("taker");
    },
  });
  const good = generate(scheduler, promptOf(2, 4), 20);
  await expect(bad).rejects.toThrow("taker");
  expect((await good).tokens).toHaveLength(20);
});

test("the same seed draws the same tokens, whoever else is running", async () => {
  const scheduler = fresh();
  const draw = async (seed: number) => {
    const tokens: number[] = [];
    await scheduler.run({ ...greedyJob(promptOf(1, 9), 30, tokens), sampling: { temperature: 1.5, topP: 0.9, seed } });
    return tokens;
  };
  const alone = await draw(5);
  const [again, other] = await Promise.all([draw(5), draw(6), generate(scheduler, promptOf(7, 30), 20)]);
  expect(again).toEqual(alone);
  expect(other).not.toEqual(alone);
});

test("a scored prompt has a log-probability for every token but the first, as if each had been generated", async () => {
  const scheduler = fresh();
  const { tokens } = await generate(scheduler, promptOf(1, 40), 6);
  const prompt = [...promptOf(1, 40), ...tokens];
  let scores: (Logprobs | null)[] = [];
  const job = { ...greedyJob(prompt, 0, []), logprobs: 2, scorePrompt: true };
  const { reason, cachedTokens } = await scheduler.run({ ...job, onPrompt: (logprobs) => (scores = logprobs) });
  expect({ reason, cachedTokens }).toEqual({ reason: "length", cachedTokens: 0 });
  expect(scores).toHaveLength(prompt.length);
  expect(scores[0]).toBeNull();
  for (const [i, token] of tokens.entries()) expect(scores[40 + i]!.top[0]!.token).toBe(token);
});

test("log-probabilities belong to their tokens also when many sequences ask at once", async () => {
  const scheduler = fresh();
  const ask = async (seed: number) => {
    const seen: (Logprobs | null)[] = [];
    await scheduler.run({
      ...greedyJob(promptOf(seed, 8), 12, []),
      logprobs: 3,
      onToken: (token, logprobs) => {
        expect(logprobs!.top[0]).toEqual({ token, logprob: logprobs!.chosen });
        seen.push(logprobs);
        return true;
      },
    });
    return seen.map((logprobs) => logprobs!.chosen.toFixed(3));
  };
  const together = await Promise.all([1, 2, 3, 4].map(ask));
  for (const seed of [1, 2, 3, 4]) expect(await ask(seed)).toEqual(together[seed - 1]!);
});
