// Seeded chance for generated weights. Only integer arithmetic and additions, no sine or logarithm, so that every
// machine draws the same bits.

export interface Random {
  /** A whole number from 0 to 2³² − 1. */
  u32(): number;
  /** From 0 (included) to 1 (not). */
  uniform(): number;
  /** Mean 0, deviation 1, never beyond ±6: the sum of twelve uniforms. */
  normal(): number;
}

/** @param seed any 32-bit whole number (mulberry32 by Tommy Ettinger, public domain) */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const u32 = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const uniform = () => u32() / 2 ** 32;
  const normal = () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum;
  };
  return { u32, uniform, normal };
}
