// Holds node-llama-cpp, at its pinned version, to what native.ts relies on: private names, and what they do.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { LlamaContext, LlamaModel } from "node-llama-cpp";
import { tinyRandom } from "./fixtures.ts";
import type { LoadedModel } from "./load.ts";
import { openNative } from "./native.ts";
import { loadHere, temporaryDirectory } from "./testing.ts";

const directory = temporaryDirectory();
let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadHere(tinyRandom(directory.path), 3, 256);
});
afterAll(directory.remove);

/** Feeds tokens into a sequence and returns where the logits after the last one are. */
async function feed(sequence: number, position: number, tokens: ArrayLike<number>): Promise<number> {
  const { context } = loaded.native;
  context.startBatch(tokens.length);
  const [logits] = context.add(sequence, position, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
  await context.decode();
  return logits!;
}

async function greedy(logits: number): Promise<number> {
  const sampler = loaded.native.createSampler({ temperature: 0 });
  const token = await loaded.native.context.sample(logits, sampler);
  sampler.dispose();
  return token;
}

const PROMPT = [72, 101, 108, 108, 111, 10, 87, 104];

test("a library whose private names moved is refused by name, not used", () => {
  const model = { llama: {}, fileInfo: {} } as unknown as LlamaModel;
  expect(() => openNative(model, {} as LlamaContext)).toThrow(/no model\._model, context\._ctx, llama\._bindings/);
});

test("log-probabilities of the whole vocabulary add up to one, in falling order", async () => {
  const { context, createSampler, vocabulary } = loaded.native;
  context.clear(0);
  const logits = await feed(0, 0, PROMPT);
  const sampler = createSampler({ temperature: 0 });
  const { top } = await context.logprobs(logits, sampler, 5, vocabulary.size);
  expect(top).toHaveLength(vocabulary.size);
  expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 4);
  expect(top.map(({ logprob }) => logprob)).toEqual(top.map(({ logprob }) => logprob).sort((a, b) => b - a));
  const five = await context.logprobs(logits, sampler, 5, 0);
  expect(five.top).toEqual([]);
  expect(five.chosen).toBe(top.find(({ token }) => token === 5)!.logprob);
});

test("log-probabilities do not see temperature, bias or penalties", async () => {
  const { context, createSampler } = loaded.native;
  context.clear(0);
  const logits = await feed(0, 0, PROMPT);
  const plain = createSampler({ temperature: 0 });
  const bent = createSampler({
    temperature: 1.7,
    seed: 1,
    bias: { tokens: Uint32Array.of(7), values: Float32Array.of(100) },
    presencePenalty: 2,
  });
  expect(await context.sample(logits, bent)).toBe(7);
  expect(await context.logprobs(logits, bent, 7, 3)).toEqual(await context.logprobs(logits, plain, 7, 3));
});

test("a sequence cut back and fed again answers as if it were new", async () => {
  const { context } = loaded.native;
  context.clear(0);
  const fresh = await greedy(await feed(0, 0, PROMPT));
  await feed(0, PROMPT.length, [1, 2, 3]);
  expect(context.truncate(0, 4)).toBe(true);
  expect(await greedy(await feed(0, 4, PROMPT.slice(4)))).toBe(fresh);
});

test("a copied sequence answers like its source, and lives on its own", async () => {
  const { context } = loaded.native;
  for (const sequence of [0, 1]) context.clear(sequence);
  await feed(0, 0, PROMPT.slice(0, -1));
  await context.copy(1, 0);
  const copied = await greedy(await feed(1, PROMPT.length - 1, PROMPT.slice(-1)));
  context.clear(1);
  expect(await greedy(await feed(0, PROMPT.length - 1, PROMPT.slice(-1)))).toBe(copied);
});

test("a seed decides what is drawn", async () => {
  const { context, createSampler } = loaded.native;
  context.clear(0);
  const logits = await feed(0, 0, PROMPT);
  const draw = async (seed: number) => {
    const sampler = createSampler({ temperature: 2, seed });
    const tokens: number[] = [];
    for (let i = 0; i < 8; i++) tokens.push(await context.sample(logits, sampler));
    return tokens.join();
  };
  expect(await draw(1)).toBe(await draw(1));
  expect(await draw(1)).not.toBe(await draw(2));
});

test("penalties count what was drawn, and nothing of the prompt", async () => {
  const { context, createSampler } = loaded.native;
  context.clear(0);
  const logits = await feed(0, 0, PROMPT);
  const sampler = createSampler({ temperature: 0, presencePenalty: 2, frequencyPenalty: 2, penaltyTokens: 256 });
  const first = await context.sample(logits, sampler);
  expect(first).toBe(await greedy(logits));
  expect(await context.sample(logits, sampler)).not.toBe(first);
});

test("a grammar admits what it describes, ends when it is complete, and starts anew for each sampler", async () => {
  const { context, createGrammar, createSampler, vocabulary } = loaded.native;
  const grammar = createGrammar('root ::= "ab"');
  for (let round = 0; round < 2; round++) {
    context.clear(0);
    const sampler = createSampler({ temperature: 1, seed: round, grammar });
    const logits = await feed(0, 0, PROMPT);
    let text = "";
    for (;;) {
      const token = await context.sample(logits, sampler);
      if (vocabulary.isEnd(token)) break;
      text += vocabulary.entry(token);
    }
    expect(text).toBe("ab");
    sampler.dispose();
  }
  expect(() => createGrammar("no grammar")).toThrow("Failed to parse grammar");
});
