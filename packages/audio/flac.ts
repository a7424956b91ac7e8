// FLAC (RFC 9639): 16 bits, mono, without loss. Each block is written with the fixed predictor and the Rice parameter that
// make it shortest. The head leaves length and checksum open, as the standard allows for what is streamed.

import { type Encoder, SPEECH_SAMPLE_RATE, toInt16 } from "./sound.ts";

const BLOCK = 4096;
const ORDER_MAX = 4;
const RICE_MAX = 14;
/** No code of this many ones: such a residual is not sound, and the block is written as it is. */
const RICE_ONES_MAX = 4_096;

export function openFlac(): Encoder {
  let rest = new Int16Array(0);
  let number = 0;
  let begun = false;

  function blocks(samples: Int16Array, size: number): Uint8Array {
    const out: Uint8Array[] = begun ? [] : [head()];
    begun = true;
    let at = 0;
    for (; at + size <= samples.length && size > 0; at += size)
      out.push(frame(samples.subarray(at, at + size), number++));
    rest = samples.slice(at);
    return Buffer.concat(out);
  }

  return {
    push: async (samples) => {
      const more = toInt16(samples);
      const all = new Int16Array(rest.length + more.length);
      all.set(rest);
      all.set(more, rest.length);
      return blocks(all, BLOCK);
    },
    end: async () => blocks(rest, rest.length),
    close: () => {},
  };
}

/** The signature and STREAMINFO. */
function head(): Uint8Array {
  const bytes = Buffer.alloc(4 + 4 + 34);
  bytes.write("fLaC", 0, "latin1");
  bytes.writeUInt8(0x80, 4); // the last block of metadata, and a STREAMINFO
  bytes.writeUIntBE(34, 5, 3);
  bytes.writeUInt16BE(BLOCK, 8);
  bytes.writeUInt16BE(BLOCK, 10);
  // Sizes of frames: unknown. Then 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of samples: unknown.
  bytes.writeUInt32BE(SPEECH_SAMPLE_RATE * 4096 + 15 * 16, 18);
  return bytes;
}

function frame(samples: Int16Array, number: number): Uint8Array {
  const bits = createBits();
  bits.put(0xfff8, 16); // sync, blocks of fixed size
  const whole = samples.length === BLOCK;
  bits.put(whole ? 0b1100 : 0b0111, 4); // 4096, or 16 bits that say it
  bits.put(0b0000, 4); // the rate of the head
  bits.put(0b0000, 4); // one channel
  bits.put(0b1000, 4); // 16 bits, and a zero
  for (const byte of utf8(number)) bits.put(byte, 8);
  if (!whole) bits.put(samples.length - 1, 16);
  bits.put(crc(bits.bytes(), 0x07, 8), 8);
  subframe(bits, samples);
  bits.align();
  bits.put(crc(bits.bytes(), 0x8005, 16), 16);
  return bits.bytes();
}

function subframe(bits: Bits, samples: Int16Array): void {
  const { order, residual } = predict(samples);
  const k = riceOf(residual);
  const most = residual.reduce((sum, each) => Math.max(sum, zigzag(each) >>> k), 0);
  if (most > RICE_ONES_MAX) {
    bits.put(0b0000_0010, 8); // verbatim
    for (const sample of samples) bits.put(sample & 0xffff, 16);
    return;
  }
  bits.put((0b001000 | order) << 1, 8);
  for (let at = 0; at < order; at++) bits.put(samples[at]! & 0xffff, 16);
  bits.put(0, 2); // Rice codes with parameters of 4 bits,
  bits.put(0, 4); // one for the whole block
  bits.put(k, 4);
  for (const each of residual) {
    const code = zigzag(each);
    for (let ones = code >>> k; ones > 0; ones -= 24) bits.put(0, Math.min(24, ones));
    bits.put(1, 1);
    bits.put(code & ((1 << k) - 1), k);
  }
}

/** Differences of differences: the order whose rest is smallest. */
function predict(samples: Int16Array): { order: number; residual: Int32Array } {
  let residual = Int32Array.from(samples);
  let best = { order: 0, residual };
  let least = weightOf(residual);
  for (let order = 1; order <= ORDER_MAX && order < samples.length; order++) {
    const next = new Int32Array(residual.length - 1);
    for (let at = 0; at < next.length; at++) next[at] = residual[at + 1]! - residual[at]!;
    residual = next;
    const weight = weightOf(residual);
    if (weight >= least) continue;
    least = weight;
    best = { order, residual };
  }
  return best;
}

function weightOf(values: Int32Array): number {
  let sum = 0;
  for (const value of values) sum += Math.abs(value);
  return sum;
}

/** About the logarithm of the mean. */
function riceOf(residual: Int32Array): number {
  let sum = 0;
  for (const each of residual) sum += zigzag(each);
  const mean = sum / Math.max(1, residual.length);
  return Math.max(0, Math.min(RICE_MAX, Math.floor(Math.log2(mean + 1))));
}

function zigzag(value: number): number {
  return value >= 0 ? 2 * value : -2 * value - 1;
}

/** The number of a frame, coded as UTF-8 codes a character. */
function utf8(number: number): number[] {
  if (number < 0x80) return [number];
  if (number < 0x800) return [0xc0 | (number >> 6), 0x80 | (number & 0x3f)];
  return [0xe0 | (number >> 12), 0x80 | ((number >> 6) & 0x3f), 0x80 | (number & 0x3f)];
}

type Bits = ReturnType<typeof createBits>;

function createBits() {
  let out = new Uint8Array(16_384);
  let length = 0;
  let word = 0;
  let held = 0;
  const byte = (value: number) => {
    if (length === out.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(out);
      out = larger;
    }
    out[length++] = value;
  };
  return {
    /** @param count at most 24 */
    put(value: number, count: number): void {
      word = (word << count) | (value & ((1 << count) - 1));
      held += count;
      while (held >= 8) {
        held -= 8;
        byte((word >>> held) & 0xff);
      }
      word &= (1 << held) - 1;
    },
    align(): void {
      if (held > 0) this.put(0, 8 - held);
    },
    bytes: () => out.slice(0, length),
  };
}

function crc(bytes: Uint8Array, polynomial: number, width: 8 | 16): number {
  const mask = width === 8 ? 0xff : 0xffff;
  const top = width === 8 ? 0x80 : 0x8000;
  let sum = 0;
  for (const each of bytes) {
    sum ^= each << (width - 8);
    for (let bit = 0; bit < 8; bit++) sum = ((sum & top ? (sum << 1) ^ polynomial : sum << 1) & mask) >>> 0;
  }
  return sum;
}
