import { expect, test } from "bun:test";
import { createBatcher } from "./embeddings-batcher.ts";

const never = new AbortController().signal;
const text = (length: number, mark = 0) => new Int32Array(length).fill(mark);

/** Batches are computed when the test says so; what came out is each text's length. */
function setUp(tokensMax: number, waitingMax = 1000) {
  const batches: { lengths: number[]; marks: number[]; finish(error?: Error): void }[] = [];
  const batcher = createBatcher({
    tokensMax,
    waitingMax,
    run: (texts) =>
      new Promise((resolve, reject) => {
        batches.push({
          lengths: texts.map(({ length }) => length),
          marks: texts.map(([mark]) => mark!),
          finish: (error) => (error ? reject(error) : resolve(texts.map(({ length }) => Float32Array.of(length)))),
        });
      }),
  });
  /** Finishes what runs, until nothing does. */
  const drain = async () => {
    for (let at = 0; at < batches.length; at++) {
      batches[at]!.finish();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { batcher, batches, drain };
}

test("a text that comes while nothing runs goes at once, and what comes then goes together", async () => {
  const { batcher, batches, drain } = setUp(100);
  const answers = [1, 2, 3, 4].map((mark) => batcher.add([text(10, mark)], never));
  expect(batches.map(({ marks }) => marks)).toEqual([[1]]);
  expect(batcher.waiting()).toBe(3);
  await drain();
  expect(batches.map(({ marks }) => marks)).toEqual([[1], [2, 3, 4]]);
  expect((await Promise.all(answers)).flat()).toEqual([10, 10, 10, 10].map((length) => Float32Array.of(length)));
  expect([batcher.waiting(), batcher.batches()]).toEqual([0, 2]);
});

test("vectors come back in the order of the texts, whatever batches they were in", async () => {
  const { batcher, batches, drain } = setUp(64);
  const lengths = [3, 40, 7, 33, 8, 60, 1, 39];
  const answer = batcher.add(
    lengths.map((length) => text(length)),
    never,
  );
  await drain();
  expect((await answer).map(([length]) => length)).toEqual(lengths);
  for (const batch of batches) {
    expect(batch.lengths).toEqual(batch.lengths.toSorted((a, b) => b - a));
    const padded = batch.lengths.length * batch.lengths[0]!;
    expect(batch.lengths.length === 1 || padded <= 64).toBe(true);
    expect(batch.lengths.reduce((sum, length) => sum + length, 0)).toBeGreaterThanOrEqual(0.8 * padded);
  }
});

test("a question does not wait for the end of a long list", async () => {
  const { batcher, batches } = setUp(50);
  void batcher.add(
    Array.from({ length: 100 }, () => text(10, 1)),
    never,
  );
  void batcher.add([text(2, 2)], never);
  void batcher.add([text(10, 3)], never);
  while (!batches.some(({ marks }) => marks.includes(2))) {
    batches.at(-1)!.finish();
    await new Promise((resolve) => setImmediate(resolve));
  }
  // The one that ran when it came, and the next.
  expect(batches.length).toBe(2);
  expect(batches[1]!.marks).toContain(3);
});

test("a text longer than a batch goes alone", async () => {
  const { batcher, batches, drain } = setUp(10);
  const answer = batcher.add([text(25), text(4), text(4)], never);
  await drain();
  await answer;
  expect(batches.map(({ lengths }) => lengths)).toEqual([[25], [4, 4]]);
});

test("who hangs up is not computed, and a failed batch fails only those in it", async () => {
  const { batcher, batches } = setUp(10);
  const gone = new AbortController();
  const first = batcher.add([text(10, 1)], never).catch((error: Error) => error.message);
  const second = batcher.add([text(10, 2)], gone.signal).catch((error: Error) => error.message);
  const third = batcher.add([text(10, 3)], never);
  gone.abort(new Error("hung up"));
  expect(await second).toBe("hung up");
  batches[0]!.finish(new Error("broke"));
  expect(await first).toBe("broke");
  expect(batches[1]!.marks).toEqual([3]);
  batches[1]!.finish();
  expect(await third).toEqual([Float32Array.of(10)]);
  expect(batcher.waiting()).toBe(0);
});

test("more texts than may wait are refused", async () => {
  const { batcher } = setUp(10, 3);
  void batcher.add([text(10), text(10), text(10)], never);
  expect(batcher.waiting()).toBe(2);
  const refused = await batcher.add([text(1), text(1)], never).catch((error) => error.row);
  expect(refused).toBe("queue_full");
});
