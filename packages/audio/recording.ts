// A recording as its bytes have it: which container, which codec, one track of sound. mediabunny takes containers apart;
// only what is on the wire's list of formats is tried.

import {
  ADTS,
  BufferSource,
  type EncodedPacket,
  EncodedPacketSink,
  FLAC,
  Input,
  type InputAudioTrack,
  Logging,
  LogLevel,
  MATROSKA,
  MP3,
  MP4,
  OGG,
  QTFF,
  WAVE,
  WEBM,
} from "mediabunny";

// What it thinks of strangers' files is no business of the operator's log.
Logging.level = LogLevel.Silent;

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

// Those without a head of their own come last: their marks of two bytes stand in the noise of any other.
const FORMATS = [WAVE, FLAC, OGG, WEBM, MATROSKA, MP4, QTFF, MP3, ADTS];

/** @throws BadAudio */
export async function openRecording(bytes: Uint8Array): Promise<Recording> {
  try {
    const input = new Input({ source: watched(bytes), formats: FORMATS });
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

/**
 * The packets, as far as they make sense: what is damaged or cut short behind the first of them ends the sound there, as
 * players do it.
 */
export async function* packetsOf(
  { track }: Recording,
  metadataOnly = false,
): AsyncGenerator<EncodedPacket, void, void> {
  const sink = new EncodedPacketSink(track);
  const options = { metadataOnly };
  let packet = await sink.getFirstPacket(options);
  while (packet) {
    yield packet;
    packet = await sink.getNextPacket(packet, options).catch((error) => {
      if (error instanceof EndlessRead) return null;
      throw error;
    });
  }
}

/** The reader makes no headway. */
class EndlessRead extends Error {
  override readonly message = "it makes its reader go round";
}

/** The most that an honest file is read from the same place one after the other, and more. */
const SAME_READS_MAX = 1_000;
/** Reads of the smallest file, and for each byte: an element of four bytes is read once or twice. */
const READS = { base: 100_000, ofByte: 0.5 };

/**
 * The bytes, and an end for a reader that makes no headway: over what is damaged mediabunny 1.61.0 can go round for ever (a
 * search for the next element of Matroska that reaches the end of the file; a frame of ADTS that is 0 bytes long), in one
 * turn, in which no timer fires.
 */
function watched(bytes: Uint8Array): BufferSource {
  const source = new BufferSource(bytes) as BufferSource & { _read: (start: number, end: number) => unknown };
  const read = source._read.bind(source);
  let [last, same] = [-1, 0];
  let left = READS.base + READS.ofByte * bytes.length;
  source._read = (start, end) => {
    same = start === last ? same + 1 : 0;
    last = start;
    if (same > SAME_READS_MAX || left-- < 0) throw new EndlessRead();
    return read(start, end);
  };
  return source;
}
