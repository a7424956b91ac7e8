// How long a recording is, found by the process that reads what strangers send: from its packets, not from what its head
// claims.

import { type AudioFact, corruptedAudio } from "@oxbow/contract";
import type { MediaProcess } from "./process.ts";

/** @throws ApiError `invalid_value` for what is no recording; the signal's reason */
export type AudioMeter = (bytes: Uint8Array, signal: AbortSignal) => Promise<AudioFact>;

/** A body of the largest size is measured in less than a second; one that takes longer was made to. */
const MEASURE_MS_MAX = 20_000;

export function createAudioMeter(process: MediaProcess): AudioMeter {
  return async (bytes, signal) => {
    let answer: Response;
    const timer = setTimeout(process.kill, MEASURE_MS_MAX);
    try {
      answer = await process.post("/audio", bytes, {}, signal);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw corruptedAudio(cause);
    } finally {
      clearTimeout(timer);
    }
    if (answer.status === 422) throw corruptedAudio(await answer.text());
    if (answer.status !== 200) throw new Error(`the media process answered with status ${answer.status}`);
    return (await answer.json()) as AudioFact;
  };
}
