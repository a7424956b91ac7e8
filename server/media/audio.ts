// How long a recording is, found by the process that reads what strangers send: from its packets, not from what its head
// claims.

import { type AudioFact, corruptedAudio } from "@oxbow/contract";
import type { MediaProcess } from "./process.ts";
import { createTurns } from "./turns.ts";

/** @throws ApiError `invalid_value` for what is no recording; the signal's reason */
export type AudioMeter = (bytes: Uint8Array, signal: AbortSignal) => Promise<AudioFact>;

/** A body of the largest size is measured in a second, hours of silence in a few; one that takes longer was made to. */
const MEASURE_MS_MAX = 10_000;

/**
 * One after the other: a recording that hangs the process ends with it, and must not take others along that were only beside it.
 *
 * @param process nobody else's, for the same reason
 */
export function createAudioMeter(process: MediaProcess, msMax = MEASURE_MS_MAX): AudioMeter {
  const turns = createTurns(1);
  return async (bytes, signal) => {
    let answer: Response;
    const release = await turns.take(1, signal);
    const timer = setTimeout(process.kill, msMax);
    try {
      answer = await process.post("/audio", bytes, {}, signal);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw corruptedAudio(cause);
    } finally {
      clearTimeout(timer);
      release();
    }
    if (answer.status === 422) throw corruptedAudio(await answer.text());
    if (answer.status !== 200) throw new Error(`the media process answered with status ${answer.status}`);
    return (await answer.json()) as AudioFact;
  };
}
