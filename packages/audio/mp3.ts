// MP3, by LAME (wasm-media-encoders).

import { createMp3Encoder } from "wasm-media-encoders";
import { type Encoder, SPEECH_SAMPLE_RATE } from "./sound.ts";

/** Kilobits a second: of one voice at 24 kHz more is not heard. */
const KILOBITS_PER_SECOND = 64;

export async function openMp3(): Promise<Encoder> {
  const encoder = await createMp3Encoder();
  encoder.configure({ sampleRate: SPEECH_SAMPLE_RATE, channels: 1, bitrate: KILOBITS_PER_SECOND });
  // It gives a view of memory that the next call writes over.
  return {
    push: async (samples) => encoder.encode([samples]).slice(),
    end: async () => encoder.finalize().slice(),
    close: () => {},
  };
}
