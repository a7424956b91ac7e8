// Tries again, with growing pauses, for as long as it is worth it.

import { setTimeout as sleep } from "node:timers/promises";
import { WeightsError } from "./errors.ts";

export interface Clock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Resolves after `ms`, or earlier when the signal fires. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}).catch(() => {}),
};

export interface Persistence {
  clock: Clock;
  signal: AbortSignal | undefined;
  /** Tries in a row that got nowhere. */
  triesMax: number;
  /** The error to end with when they are used up. */
  giveUp(cause: unknown): Error;
  /** Whether the last try got somewhere: then the count begins anew. */
  gained?(): boolean;
  onRetry?(cause: unknown, waitMs: number): void;
}

/**
 * @throws WeightsError of `work` at once, the signal's reason, or what `giveUp` makes of the last failure
 */
export async function persist<T>(work: () => Promise<T>, options: Persistence): Promise<T> {
  const { clock, signal } = options;
  for (let failures = 1; ; failures++) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof WeightsError) throw cause;
      if (options.gained?.()) failures = 1;
      if (failures >= options.triesMax) throw options.giveUp(cause);
      const waitMs = Math.max(pauseMs(failures), retryAfterOf(cause));
      options.onRetry?.(cause, waitMs);
      await clock.sleep(waitMs, signal);
    }
  }
}

const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 30_000;
/** A hub that asks for more is told to the operator instead. */
const RETRY_AFTER_MS_MAX = 300_000;

/** Doubling; between half of it and all of it, so that programs that fell together do not come back together. */
function pauseMs(failures: number): number {
  return Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

function retryAfterOf(cause: unknown): number {
  const wanted = cause instanceof Error && "retryAfterMs" in cause ? cause.retryAfterMs : undefined;
  return typeof wanted === "number" ? Math.min(RETRY_AFTER_MS_MAX, wanted) : 0;
}
