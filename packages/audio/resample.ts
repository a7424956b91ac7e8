// Another sample rate, piece by piece: a low-pass filter of windowed sines, one set of weights for each phase between two
// samples. Source: J. O. Smith, Digital Audio Resampling, CCRMA (bandlimited interpolation); the window is Kaiser's.

export interface Resampler {
  /** What can be said of the samples so far. */
  push(samples: Float32Array): Float32Array;
  /** The rest: as if silence followed. */
  end(): Float32Array;
}

/** Zero crossings of the sine on each side: the more, the steeper the filter. */
const CROSSINGS = 16;
/** Of the Kaiser window: what the filter stops is 80 dB down. */
const BETA = 8;
/** The filter begins to close a little before the highest frequency that fits. */
const ROLLOFF = 0.95;

export function createResampler(from: number, to: number): Resampler {
  if (from === to) return { push: (samples) => samples, end: () => new Float32Array(0) };
  const divisor = gcd(from, to);
  const phases = to / divisor;
  const step = from / divisor;
  const cutoff = Math.min(1, to / from) * ROLLOFF;
  const half = Math.ceil(CROSSINGS / cutoff);
  const taps = 2 * half;
  const weights = weightsOf(phases, half, cutoff);
  /** Samples that the next output may still need, the first of them at `start`. */
  let held = new Float32Array(half);
  let start = -half;
  /** Of the next output, in steps of a phase. */
  let position = 0;
  let taken = 0;

  function run(samples: Float32Array, until: number): Float32Array {
    const all = new Float32Array(held.length + samples.length);
    all.set(held);
    all.set(samples, held.length);
    const end = start + all.length;
    const out = new Float32Array(Math.max(0, Math.ceil(((end - half) * phases - position) / step) + 1));
    let count = 0;
    for (; ; position += step) {
      const whole = Math.floor(position / phases);
      if (whole >= until || whole + half >= end) break;
      const base = (position - whole * phases) * taps;
      const first = whole - half + 1 - start;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += all[first + tap]! * weights[base + tap]!;
      out[count++] = sum;
    }
    const keep = Math.max(0, Math.floor(position / phases) - half + 1 - start);
    held = all.slice(keep);
    start += keep;
    return out.slice(0, count);
  }

  return {
    push(samples) {
      taken += samples.length;
      return run(samples, Number.POSITIVE_INFINITY);
    },
    end: () => run(new Float32Array(half + 1), taken),
  };
}

/** For each phase the weights of the samples around it, `half` before and `half` behind. */
function weightsOf(phases: number, half: number, cutoff: number): Float32Array {
  const weights = new Float32Array(phases * 2 * half);
  for (let phase = 0; phase < phases; phase++) {
    for (let tap = 0; tap < 2 * half; tap++) {
      const distance = tap - half + 1 - phase / phases;
      const x = Math.PI * distance * cutoff;
      const sinc = x === 0 ? 1 : Math.sin(x) / x;
      const at = distance / half;
      const window = Math.abs(at) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - at * at)) / bessel(BETA);
      weights[phase * 2 * half + tap] = cutoff * sinc * window;
    }
  }
  return weights;
}

/** I₀, by its power series. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
