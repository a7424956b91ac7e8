// WAV and bare PCM: 16 bits, mono. A WAV that is streamed cannot say its length: its head says "as long as it lasts".

import { bytesOf, type Encoder, SPEECH_SAMPLE_RATE, toInt16 } from "./sound.ts";

const NOTHING = new Uint8Array();

export function openPcm(): Encoder {
  return { push: async (samples) => bytesOf(toInt16(samples)), end: async () => NOTHING, close: () => {} };
}

export function openWav(): Encoder {
  let begun = false;
  const head = (): Uint8Array => {
    if (begun) return NOTHING;
    begun = true;
    return wavHead(SPEECH_SAMPLE_RATE, null);
  };
  return {
    push: async (samples) => Buffer.concat([head(), bytesOf(toInt16(samples))]),
    end: async () => head(),
    close: () => {},
  };
}

/** What every player takes for "until the end": the largest length there is. */
const UNKNOWN = 0xffff_ffff;

/** 44 bytes before the samples, which are 16 bits, mono. @param dataBytes null: until the end */
export function wavHead(sampleRate: number, dataBytes: number | null): Uint8Array {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0, "latin1");
  head.writeUInt32LE(dataBytes === null ? UNKNOWN : 36 + dataBytes, 4);
  head.write("WAVEfmt ", 8, "latin1");
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt32LE(2 * sampleRate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36, "latin1");
  head.writeUInt32LE(dataBytes ?? UNKNOWN, 40);
  return head;
}
