// How long a recording is. Walks over its packets without decoding them.

import type { AudioFact } from "@oxbow/contract";
import { BadAudio, openRecording, packetsOf } from "./recording.ts";

/** A day of the smallest packets that are common (20 ms). */
const PACKETS_MAX = 4_320_000;

/** @throws BadAudio */
export async function measure(bytes: Uint8Array): Promise<AudioFact> {
  const recording = await openRecording(bytes);
  let seconds = 0;
  let packets = 0;
  try {
    for await (const { timestamp, duration } of packetsOf(recording, true)) {
      if (++packets > PACKETS_MAX) throw new Error(`it has more than ${PACKETS_MAX} packets`);
      // What lies before the start primes the decoder and is not heard. Durations come from the file and may lie: whoever
      // decodes is held to the sum.
      seconds += Math.max(0, Math.min(duration, timestamp + duration));
    }
  } catch (cause) {
    throw new BadAudio(`broken: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (!(seconds > 0 && Number.isFinite(seconds))) throw new BadAudio("it has no sound");
  // To the millisecond: a sum of thousands of fractions is a little off.
  return { seconds: Math.round(seconds * 1000) / 1000, container: recording.container, codec: recording.codec };
}
