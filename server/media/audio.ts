// How long a recording is, found by the process that reads what strangers send: from its packets, not from what its head
// claims.

import { AUDIO_FIELD, type AudioFact, type AudioJob, corruptedAudio } from "@oxbow/contract";
import type { MediaProcess } from "./process.ts";
import { createTurns } from "./turns.ts";

export interface MeterOptions {
  /** Where to stop counting. */
  secondsMax: number;
  /** Whose it is: owners take turns. */
  owner: string;
  signal: AbortSignal;
}

/**
 * @returns what was found; of a recording longer than `secondsMax` that it is longer
 * @throws ApiError `invalid_value` for what is no recording, `queue_full`; the signal's reason
 */
export type AudioMeter = (bytes: Uint8Array, options: MeterOptions) => Promise<AudioFact>;

/** What measuring one recording may take. */
export interface MeterBounds {
  /** Of a processor: the longest honest ones take three, and ten times as many bytes a little more. */
  cpuMsMax: number;
  cpuMsPerMegabyte: number;
  /** On the clock, of a machine that is busy; and where the system does not tell what a process has used. */
  msMax: number;
  /** Memory of the process above what it takes at rest, besides the recording. */
  rssBytesMax: number;
}

const BOUNDS: MeterBounds = { cpuMsMax: 5_000, cpuMsPerMegabyte: 100, msMax: 30_000, rssBytesMax: 512_000_000 };
const LOOK_MS = 100;

/**
 * One recording at a time in each process: one that hangs it ends with it, and must not take others along that were only
 * beside it. No account has all of them.
 *
 * @param processes nobody else's, for the same reason; two at least
 */
export function createAudioMeter(processes: readonly MediaProcess[], bounds: Partial<MeterBounds> = {}): AudioMeter {
  const { cpuMsMax, cpuMsPerMegabyte, msMax, rssBytesMax } = { ...BOUNDS, ...bounds };
  const turns = createTurns({ places: processes.length, ownPlaces: Math.max(1, processes.length - 1) });
  const idle = [...processes];

  /** Ends a process that takes more than an honest recording does. @returns what stops the watch */
  function watch(process: MediaProcess, length: number): () => void {
    const from = performance.now();
    const before = process.usage();
    const looking = setInterval(() => {
      const now = process.usage();
      // One that was just started had used nothing before.
      const cpuMs = now && now.cpuMs - (before?.pid === now.pid ? before.cpuMs : 0);
      const used = cpuMs ?? performance.now() - from;
      const tooMuch = now !== null && now.rssBytes > rssBytesMax + 4 * length;
      if (tooMuch || used > cpuMsMax + (cpuMsPerMegabyte * length) / 1e6 || performance.now() - from > msMax)
        process.kill();
    }, LOOK_MS);
    return () => clearInterval(looking);
  }

  return async (bytes, { secondsMax, owner, signal }) => {
    let answer: Response;
    const release = await turns.take(owner, 1, signal);
    const process = idle.pop()!;
    const end = watch(process, bytes.length);
    const job: AudioJob = { secondsMax };
    try {
      answer = await process.post("/audio", bytes, { [AUDIO_FIELD]: JSON.stringify(job) }, signal);
    } catch (cause) {
      // It may still be at it, and nobody waits for the end.
      process.kill();
      if (signal.aborted) throw signal.reason;
      throw corruptedAudio(cause);
    } finally {
      end();
      idle.push(process);
      release();
    }
    if (answer.status === 422) throw corruptedAudio(await answer.text());
    if (answer.status !== 200) throw new Error(`the media process answered with status ${answer.status}`);
    return (await answer.json()) as AudioFact;
  };
}
