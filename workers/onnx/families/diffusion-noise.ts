// The noise that an image starts from. The same numbers as PyTorch's `randn` on a processor gives for the same seed, so that
// a seed means the same image here as in the libraries that people know.
// Source: Matsumoto and Nishimura, Mersenne Twister (1998), and Box and Muller (1958), put together as ATen's `normal_fill` does.

/**
 * The first `count` numbers that a generator draws after it was seeded.
 * @param count at least 16
 * @param seed of it the lower 32 bits count
 */
export function createNoise(seed: number): { normals(count: number): Float32Array } {
  const next = createTwister(Number(BigInt.asUintN(32, BigInt(seed))));
  /** 24 bits: as many as a 32-bit float between 0 and 1 tells apart. */
  const uniform = () => (next() & 0xffffff) / 0x1000000;

  return {
    normals(count) {
      const values = Float32Array.from({ length: count }, uniform);
      for (let at = 0; at + BLOCK <= count; at += BLOCK) pair(values, at);
      if (count % BLOCK !== 0) {
        // What is left over is part of a last block that is drawn anew.
        const from = count - BLOCK;
        for (let at = from; at < count; at++) values[at] = uniform();
        pair(values, from);
      }
      return values;
    },
  };
}

const BLOCK = 16;

/** Uniform numbers to normal ones, in place: the first half of a block says how far, the second in which direction. */
function pair(values: Float32Array, from: number): void {
  for (let at = from; at < from + BLOCK / 2; at++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[at]!));
    const angle = 2 * Math.PI * values[at + BLOCK / 2]!;
    values[at] = radius * Math.cos(angle);
    values[at + BLOCK / 2] = radius * Math.sin(angle);
  }
}

/** MT19937: numbers of 32 bits. */
function createTwister(seed: number): () => number {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let at = 1; at < 624; at++) {
    const before = state[at - 1]! ^ (state[at - 1]! >>> 30);
    state[at] = Math.imul(1812433253, before) + at;
  }
  let index = 624;
  return () => {
    if (index === 624) {
      twist(state);
      index = 0;
    }
    let y = state[index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

function twist(state: Uint32Array): void {
  for (let at = 0; at < 624; at++) {
    const y = (state[at]! & 0x80000000) | (state[(at + 1) % 624]! & 0x7fffffff);
    state[at] = state[(at + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
  }
}
