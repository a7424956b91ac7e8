// Lifts the server's idle time-out for calls that last. Most are over before it matters, and asking the server for each of
// them costs more than finding out who their caller is: so it is asked once a second, for those that are still there.

/** Well below the idle time-out, which they hold to until then. */
const SWEEP_MS = 1_000;

export interface KeepOpen {
  /** A call has begun. @param lift lifts the time-out for it */
  add(lift: () => void): void;
  /** It has ended. */
  remove(lift: () => void): void;
  stop(): void;
}

export function createKeepOpen(sweepMs: number = SWEEP_MS): KeepOpen {
  const calls = new Set<() => void>();
  let timer: ReturnType<typeof setInterval> | null = null;

  function rest(): void {
    if (timer) clearInterval(timer);
    timer = null;
  }

  function sweep(): void {
    if (calls.size === 0) rest();
    for (const lift of calls) lift();
    calls.clear();
  }

  return {
    add(lift) {
      calls.add(lift);
      timer ??= setInterval(sweep, sweepMs);
    },
    remove(lift) {
      calls.delete(lift);
    },
    stop: rest,
  };
}
