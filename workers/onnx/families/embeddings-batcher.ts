// Which texts are computed together. A text that comes while nothing runs goes at once; what comes while a batch runs is
// collected. A batch holds texts of about one length, because each is padded to the longest; and requests take turns in
// choosing its longest, so that a short question waits for no more than one batch of each request before it.

import { ApiError } from "@oxbow/contract";

export interface Batcher {
  /**
   * @returns a vector for each text, in order
   * @throws ApiError `queue_full`; the signal's reason
   */
  add(texts: readonly Int32Array[], signal: AbortSignal): Promise<Float32Array[]>;
  /** Texts that are in no batch yet. */
  waiting(): number;
  batches(): number;
}

export interface BatcherOptions {
  /** Tokens of a batch, padding included. A longer text goes alone. */
  tokensMax: number;
  waitingMax: number;
  run(texts: Int32Array[]): Promise<Float32Array[]>;
}

/** What one request still waits for. */
interface Group {
  /** The longest last, for `pop` takes from there. */
  left: Item[];
  vectors: Float32Array[];
  missing: number;
  done(): void;
  fail(error: unknown): void;
}

interface Item {
  group: Group;
  index: number;
  text: Int32Array;
}

/**
 * How much of a batch may be padding. Computing several texts at once gains about as much as this on a processor (measured: a
 * batch of 32 is 1.5 times as fast as 32 texts alone), and padding is computed like any token.
 */
const PADDING_MAX = 0.2;

export function createBatcher({ tokensMax, waitingMax, run }: BatcherOptions): Batcher {
  /** In the order of their turns. */
  const groups: Group[] = [];
  let waiting = 0;
  let batches = 0;
  let running = false;

  async function pump(): Promise<void> {
    if (running) return;
    running = true;
    while (groups.length > 0) {
      const items = next();
      batches++;
      try {
        const vectors = await run(items.map(({ text }) => text));
        for (const [at, { group, index }] of items.entries()) {
          group.vectors[index] = vectors[at]!;
          if (--group.missing === 0) group.done();
        }
      } catch (error) {
        for (const group of new Set(items.map(({ group }) => group))) drop(group, error);
      }
    }
    running = false;
  }

  /** Takes the texts of the next batch out of their groups. */
  function next(): Item[] {
    const first = groups.shift()!;
    const order = [first, ...groups];
    const longest = first.left.at(-1)!.text.length;
    const room = Math.max(1, Math.floor(tokensMax / longest));
    const items: Item[] = [];
    let tokens = 0;
    // Round by round one text of each request, those of others only where they fit without too much padding.
    for (let before = -1; items.length < room && items.length > before; ) {
      before = items.length;
      for (const { left } of order) {
        const length = left.at(-1)?.text.length ?? 0;
        const full = (items.length + 1) * longest;
        if (length === 0 || length > longest || items.length === room) continue;
        if (items.length > 0 && full - tokens - length > PADDING_MAX * full) continue;
        items.push(left.pop()!);
        tokens += length;
      }
    }
    waiting -= items.length;
    const still = order.slice(1).filter(({ left }) => left.length > 0);
    groups.splice(0, groups.length, ...still, ...(first.left.length > 0 ? [first] : []));
    return items;
  }

  function drop(group: Group, error: unknown): void {
    waiting -= group.left.length;
    group.left = [];
    const at = groups.indexOf(group);
    if (at >= 0) groups.splice(at, 1);
    group.fail(error);
  }

  return {
    async add(texts, signal) {
      signal.throwIfAborted();
      if (waiting + texts.length > waitingMax) {
        throw new ApiError("queue_full", "Too many texts wait for this model. Please try again in 1s.", {
          retryAfterMs: 1000,
        });
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const vectors = new Array<Float32Array>(texts.length);
      const group: Group = { left: [], vectors, missing: texts.length, done: resolve, fail: reject };
      group.left = texts.map((text, index) => ({ group, index, text })).sort((a, b) => a.text.length - b.text.length);
      const onAbort = () => drop(group, signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      groups.push(group);
      waiting += texts.length;
      void pump();
      await promise.finally(() => signal.removeEventListener("abort", onAbort));
      return vectors;
    },
    waiting: () => waiting,
    batches: () => batches,
  };
}
