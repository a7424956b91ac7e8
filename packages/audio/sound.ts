// What the writers of all formats share: what an encoder is, the rate of speech, and samples as bytes. Samples are mono,
// -1 to 1.

import { ApiError, type SpeechFormat } from "@oxbow/contract";

export interface Encoder {
  /** What can be said so far; may be empty. */
  push(samples: Float32Array): Promise<Uint8Array>;
  /** The rest. */
  end(): Promise<Uint8Array>;
  /** Frees what it holds, however far it came. */
  close(): void;
}

/** Of all speech: what the wire promises for `pcm`. */
export const SPEECH_SAMPLE_RATE = 24_000;

/** @throws ApiError, always: nothing here writes `format`, and what would help */
export function cannotWrite(format: SpeechFormat, missing: string): never {
  const text = `Unsupported value: 'response_format' does not support '${format}' here: ${missing}. Ask for another format, such as 'mp3'.`;
  throw new ApiError("unsupported_value", text, { param: "response_format" });
}

/** 16 bits, little-endian. */
export function toInt16(samples: Float32Array): Int16Array {
  const out = new Int16Array(samples.length);
  for (let at = 0; at < samples.length; at++) {
    out[at] = Math.round(Math.max(-1, Math.min(1, samples[at]!)) * 32_767);
  }
  return out;
}

export function bytesOf(samples: Int16Array): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}
