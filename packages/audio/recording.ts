// A recording as its bytes have it: which container, which codec, one track of sound. mediabunny takes containers apart;
// only what is on the wire's list of formats is tried.

import {
  ADTS,
  BufferSource,
  EncodedPacketSink,
  FLAC,
  Input,
  type InputAudioTrack,
  MATROSKA,
  MP3,
  MP4,
  OGG,
  QTFF,
  WAVE,
  WEBM,
} from "mediabunny";

/** What no decoder makes sense of. The message is for a log. */
export class BadAudio extends Error {
  override readonly name = "BadAudio";
}

export interface Recording {
  track: InputAudioTrack;
  container: string;
  /** As mediabunny calls it; null: one that it does not know. */
  codec: string | null;
  sampleRate: number;
  channels: number;
}

const FORMATS = [WAVE, MP3, FLAC, OGG, WEBM, MATROSKA, MP4, QTFF, ADTS];

/** @throws BadAudio */
export async function openRecording(bytes: Uint8Array): Promise<Recording> {
  try {
    const input = new Input({ source: new BufferSource(bytes), formats: FORMATS });
    const [format, track] = [await input.getFormat(), await input.getPrimaryAudioTrack()];
    if (!track) throw new Error("it has no sound");
    const { codec, sampleRate, numberOfChannels: channels } = track;
    if (!(sampleRate >= 1_000 && sampleRate <= 768_000)) throw new Error(`it has ${sampleRate} samples a second`);
    if (!(channels >= 1 && channels <= 64)) throw new Error(`it has ${channels} channels`);
    return { track, container: format.name, codec, sampleRate, channels };
  } catch (cause) {
    throw new BadAudio(`no recording: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

export function packetsOf({ track }: Recording, metadataOnly = false) {
  return new EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly });
}
