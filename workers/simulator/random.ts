// Seeded chance: the same seed gives the same numbers on every machine, so that an answer can be asked for again.

/** A 53-bit hash of a text (cyrb53, public domain), fit for a seed or a key of a cache. */
export function hashText(text: string, seed = 0): number {
  let high = 0xdeadbeef ^ seed;
  let low = 0x41c6ce57 ^ seed;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  return join(high, low);
}

/** A 53-bit hash of numbers `from` (inclusive) to `to` (exclusive), chained to the hash of what came before them. */
export function hashNumbers(numbers: ArrayLike<number>, from: number, to: number, before: number): number {
  let high = 0xdeadbeef ^ before;
  let low = 0x41c6ce57 ^ Math.floor(before / 2 ** 21);
  for (let at = from; at < to; at++) {
    high = Math.imul(high ^ numbers[at]!, 2654435761);
    low = Math.imul(low ^ numbers[at]!, 1597334677);
  }
  return join(high, low);
}

function join(a: number, b: number): number {
  let high = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  let low = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  high >>>= 0;
  low >>>= 0;
  return 4294967296 * (2097151 & low) + high;
}

export interface Random {
  /** 0 (inclusive) to 1 (exclusive). */
  next(): number;
  /** A whole number from 0 to `count` − 1. */
  below(count: number): number;
  pick<T>(list: readonly T[]): T;
}

/** A generator of 32-bit chance (mulberry32, public domain). */
export function createRandom(seed: number): Random {
  let state = (seed ^ Math.floor(seed / 4294967296)) >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  const below = (count: number) => Math.floor(next() * count);
  return { next, below, pick: (list) => list[below(list.length)]! };
}
