// How long a recording is. Walks over its packets without decoding them.

import type { AudioFact } from "@oxbow/contract";
import { BadAudio, openRecording, packetsOf, type Recording } from "./recording.ts";

/** A day of the smallest packets that are common (20 ms). */
const PACKETS_MAX = 4_320_000;

/** Their packets are entries of a table, whose sum its last one says; looking each up takes the square of their number. */
const TABLES: ReadonlySet<string> = new Set(["MP4", "QuickTime File Format"]);

/**
 * @param secondsMax where to stop counting: the answer is then more than that
 * @throws BadAudio
 */
export async function measure(bytes: Uint8Array, secondsMax = Number.POSITIVE_INFINITY): Promise<AudioFact> {
  const recording = await openRecording(bytes);
  const { container, codec, sampleRate, channels } = recording;
  let seconds: number;
  try {
    seconds = TABLES.has(container) ? await lastEnd(recording) : await sum(recording, secondsMax);
  } catch (cause) {
    throw new BadAudio(`broken: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  // To the millisecond: a sum of thousands of fractions is a little off.
  const rounded = Math.round(seconds * 1000) / 1000;
  if (!(rounded > 0 && Number.isFinite(rounded))) throw new BadAudio("it has no sound");
  return { seconds: rounded, container, codec, sampleRate, channels };
}

/** Durations come from the file and may lie, here and below: whoever decodes is held to them. */
async function lastEnd({ track }: Recording): Promise<number> {
  return (await track.computeDuration()) - Math.max(0, await track.getFirstTimestamp());
}

async function sum(recording: Recording, secondsMax: number): Promise<number> {
  let seconds = 0;
  let packets = 0;
  let usual = 0;
  let before: { timestamp: number; duration: number } | null = null;
  // What lies before the start primes the decoder and is not heard.
  const add = (timestamp: number, duration: number) => {
    seconds += Math.max(0, Math.min(duration, timestamp + duration));
  };
  for await (const { timestamp, duration } of packetsOf(recording, true)) {
    if (++packets > PACKETS_MAX) throw new Error(`it has more than ${PACKETS_MAX} packets`);
    // The last packet of a cluster of Matroska says no duration: it lasts until the next one begins.
    if (before?.duration === 0) add(before.timestamp, timestamp - before.timestamp);
    add(timestamp, duration);
    if (seconds > secondsMax) return seconds;
    if (duration > 0) usual = duration;
    before = { timestamp, duration };
  }
  if (before?.duration === 0) add(before.timestamp, usual);
  return seconds;
}
