// Lifts the server's idle time-out for calls that last, and puts it back when they end: a whole answer that nobody fetches,
// or a connection whose client is gone without a word, would stay for ever. Most calls are over before it matters, and
// asking the server for each of them costs more than finding out who their caller is: so it is asked once a second, for
// those that are still there.

/** Lifts the time-out of one call, or puts it back. */
export type Lift = (isLifted: boolean) => void;

/** Well below the idle time-out, which calls hold to until then. */
const SWEEP_MS = 1_000;

export interface KeepOpen {
  /** A call has begun. */
  add(lift: Lift): void;
  /** It has ended; the end of a stream is still to be sent, or the server does not know the call any more. Safe to call twice. */
  remove(lift: Lift): void;
  stop(): void;
}

export function createKeepOpen(sweepMs: number = SWEEP_MS): KeepOpen {
  const begun = new Set<Lift>();
  const lifted = new Set<Lift>();
  let timer: ReturnType<typeof setInterval> | null = null;

  function rest(): void {
    if (timer) clearInterval(timer);
    timer = null;
  }

  function sweep(): void {
    if (begun.size === 0) rest();
    for (const lift of begun) {
      lift(true);
      lifted.add(lift);
    }
    begun.clear();
  }

  return {
    add(lift) {
      begun.add(lift);
      timer ??= setInterval(sweep, sweepMs);
    },
    remove(lift) {
      begun.delete(lift);
      if (lifted.delete(lift)) lift(false);
    },
    stop: rest,
  };
}
