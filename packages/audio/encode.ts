// Sound to bytes, piece by piece as it is made, in each format of /v1/audio/speech.

import type { SpeechFormat } from "@oxbow/contract";
import type { Encoder } from "./sound.ts";

type Open = () => Promise<Encoder>;

/** Each format's code is read when it is first wanted. */
const ENCODERS: Record<SpeechFormat, Open> = {
  wav: async () => (await import("./wav.ts")).openWav(),
  pcm: async () => (await import("./wav.ts")).openPcm(),
  mp3: async () => (await import("./mp3.ts")).openMp3(),
  opus: async () => (await import("./opus.ts")).openOpus(),
  flac: async () => (await import("./flac.ts")).openFlac(),
  aac: async () => (await import("./aac.ts")).openAac(),
};

/** @throws ApiError `unsupported_value` for a format that this machine cannot write */
export function openEncoder(format: SpeechFormat): Promise<Encoder> {
  return ENCODERS[format]();
}
