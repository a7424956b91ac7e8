// Sound as Whisper sees it: the logarithm of how loud each band of pitches is, a hundred times a second.
// Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision (2022), §2.2, and the feature extractor
// of its published models; the bands are those of Slaney's Auditory Toolbox (1998).

export const SAMPLE_RATE = 16_000;
/** What the model hears at once. */
export const WINDOW_S = 30;
export const WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE;
const FFT = 400;
const HOP = 160;
export const FRAMES = WINDOW_SAMPLES / HOP;
const BINS = FFT / 2 + 1;

/** @returns for at most 30 s of samples `bands` × 3000 values, the bands one after the other; what is missing is silence */
export function createMel(bands: number): (samples: Float32Array) => Float32Array {
  const filters = bankOf(bands);
  const hann = Float64Array.from({ length: FFT }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / FFT));
  const transform = createTransform(FFT);
  const power = [new Float64Array(BINS), new Float64Array(BINS)];

  return (samples) => {
    const padded = padOf(samples);
    const out = new Float32Array(bands * FRAMES);
    let loudest = Number.NEGATIVE_INFINITY;
    // Two frames at once: one as the real part, one as the imaginary.
    for (let frame = 0; frame < FRAMES; frame += 2) {
      const { re, im } = transform.input;
      for (let at = 0; at < FFT; at++) {
        re[at] = padded[frame * HOP + at]! * hann[at]!;
        im[at] = padded[(frame + 1) * HOP + at]! * hann[at]!;
      }
      transform.run(power[0]!, power[1]!);
      for (const [side, spectrum] of power.entries()) {
        for (const [band, { first, weights }] of filters.entries()) {
          let sum = 0;
          for (let at = 0; at < weights.length; at++) sum += weights[at]! * spectrum[first + at]!;
          const value = Math.log10(Math.max(1e-10, sum));
          out[band * FRAMES + frame + side] = value;
          if (value > loudest) loudest = value;
        }
      }
    }
    const floor = loudest - 8;
    for (let at = 0; at < out.length; at++) out[at] = (Math.max(out[at]!, floor) + 4) / 4;
    return out;
  };
}

/** 30 s, and half a frame on each side in which the ends are mirrored. */
function padOf(samples: Float32Array): Float32Array {
  const half = FFT / 2;
  const padded = new Float32Array(WINDOW_SAMPLES + FFT);
  padded.set(samples.subarray(0, WINDOW_SAMPLES), half);
  for (let at = 1; at <= half; at++) {
    padded[half - at] = padded[half + at]!;
    padded[half + WINDOW_SAMPLES - 1 + at] = padded[half + WINDOW_SAMPLES - 1 - at]!;
  }
  return padded;
}

/** Triangles over the bins of the spectrum, each of the same area. */
function bankOf(bands: number): { first: number; weights: Float64Array }[] {
  const top = toMel(SAMPLE_RATE / 2);
  const edges = Array.from({ length: bands + 2 }, (_, at) => toHertz((top * at) / (bands + 1)));
  return Array.from({ length: bands }, (_, band) => {
    const [low, middle, high] = [edges[band]!, edges[band + 1]!, edges[band + 2]!];
    const all = Array.from({ length: BINS }, (_, bin) => {
      const hertz = (bin * SAMPLE_RATE) / FFT;
      const height = Math.min((hertz - low) / (middle - low), (high - hertz) / (high - middle));
      return (Math.max(0, height) * 2) / (high - low);
    });
    const first = Math.max(
      0,
      all.findIndex((weight) => weight > 0),
    );
    const last = all.findLastIndex((weight) => weight > 0);
    return { first, weights: Float64Array.from(all.slice(first, last + 1)) };
  });
}

/** Slaney's scale: even up to 1000 Hz, by ratios above. */
const MEL_HERTZ = 200 / 3;
const BREAK_HERTZ = 1000;
const BREAK_MEL = BREAK_HERTZ / MEL_HERTZ;
const RATIO = Math.log(6.4) / 27;

function toMel(hertz: number): number {
  return hertz < BREAK_HERTZ ? hertz / MEL_HERTZ : BREAK_MEL + Math.log(hertz / BREAK_HERTZ) / RATIO;
}

function toHertz(mel: number): number {
  return mel < BREAK_MEL ? mel * MEL_HERTZ : BREAK_HERTZ * Math.exp(RATIO * (mel - BREAK_MEL));
}

/** The discrete Fourier transform of a length made of small factors, in place (Cooley and Tukey, 1965). */
function createTransform(size: number) {
  const factors: number[] = [];
  for (let rest = size, factor = 4; rest > 1; factor = factor === 4 ? 2 : factor === 2 ? 3 : factor + 2) {
    for (; rest % factor === 0; rest /= factor) factors.push(factor);
  }
  const order = orderOf(size, factors);
  const stages: ((re: Float64Array, im: Float64Array) => void)[] = [];
  for (let part = 1, at = factors.length - 1; at >= 0; part *= factors[at]!, at--) {
    stages.push(stageOf(size, factors[at]!, part));
  }
  const input = { re: new Float64Array(size), im: new Float64Array(size) };
  const re = new Float64Array(size);
  const im = new Float64Array(size);

  return {
    input,
    /** The power of what is in the real part, and of what is in the imaginary. */
    run(one: Float64Array, other: Float64Array): void {
      for (let at = 0; at < size; at++) {
        re[at] = input.re[order[at]!]!;
        im[at] = input.im[order[at]!]!;
      }
      for (const stage of stages) stage(re, im);
      for (let bin = 0; bin < one.length; bin++) {
        const mirror = (size - bin) % size;
        const [sumRe, sumIm] = [re[bin]! + re[mirror]!, im[bin]! - im[mirror]!];
        const [gapRe, gapIm] = [im[bin]! + im[mirror]!, re[mirror]! - re[bin]!];
        one[bin] = (sumRe * sumRe + sumIm * sumIm) / 4;
        other[bin] = (gapRe * gapRe + gapIm * gapIm) / 4;
      }
    },
  };
}

/** Joins `radix` transforms of the length `part` into one, all over the array. Angles are looked up, not computed. */
function stageOf(size: number, radix: number, part: number): (re: Float64Array, im: Float64Array) => void {
  const joined = radix * part;
  const turn = (steps: number, of: number): [number, number] => {
    const angle = (-2 * Math.PI * steps) / of;
    return [Math.cos(angle), Math.sin(angle)];
  };
  const twiddles = new Float64Array(2 * joined);
  for (let at = 0; at < part; at++) {
    for (let q = 0; q < radix; q++) twiddles.set(turn(q * at, joined), 2 * (at * radix + q));
  }
  const inner = new Float64Array(2 * radix * radix);
  for (let r = 0; r < radix; r++) {
    for (let q = 0; q < radix; q++) inner.set(turn(r * q, radix), 2 * (r * radix + q));
  }
  const x = new Float64Array(2 * radix);
  return (re, im) => {
    for (let base = 0; base < size; base += joined) {
      for (let at = 0; at < part; at++) {
        for (let q = 0; q < radix; q++) {
          const from = base + q * part + at;
          const cos = twiddles[2 * (at * radix + q)]!;
          const sin = twiddles[2 * (at * radix + q) + 1]!;
          x[2 * q] = re[from]! * cos - im[from]! * sin;
          x[2 * q + 1] = re[from]! * sin + im[from]! * cos;
        }
        for (let r = 0; r < radix; r++) {
          let sumRe = x[0]!;
          let sumIm = x[1]!;
          for (let q = 1; q < radix; q++) {
            const cos = inner[2 * (r * radix + q)]!;
            const sin = inner[2 * (r * radix + q) + 1]!;
            sumRe += x[2 * q]! * cos - x[2 * q + 1]! * sin;
            sumIm += x[2 * q]! * sin + x[2 * q + 1]! * cos;
          }
          re[base + r * part + at] = sumRe;
          im[base + r * part + at] = sumIm;
        }
      }
    }
  };
}

/** Where each input goes: by its remainders, factor after factor. */
function orderOf(size: number, factors: number[]): Int32Array {
  const walk = (first: number, step: number, length: number, depth: number): number[] => {
    if (depth === factors.length) return [first];
    const radix = factors[depth]!;
    return Array.from({ length: radix }, (_, q) =>
      walk(first + q * step, step * radix, length / radix, depth + 1),
    ).flat();
  };
  return Int32Array.from(walk(0, 1, size, 0));
}
