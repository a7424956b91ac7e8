// What is to be written, in its order. A reservation rests for a moment before it joins: most calls of a busy server end
// within it, and what begins and ends in one commit is one thing to write, and leaves nothing to be looked up.

import type { LedgerEntry } from "./entry.ts";
import type { Op } from "./events.ts";

/** How long what nobody waits for may stay in memory alone; milliseconds. Longer than a commit, shorter than anyone notices. */
export const REST_MS_MAX = 20;

export interface Waiting {
  op: Op;
  /** `performance.now()` after which it is withdrawn; Infinity: never. */
  until: number;
  done?: { resolve(result: number): void; reject(error: Error): void };
}

export type Line = ReturnType<typeof createLine>;

export function createLine() {
  let ops: Waiting[] = [];
  /** By request, the oldest first. */
  const resting = new Map<string, { entry: LedgerEntry; sinceMs: number }>();

  function join(op: Op): void {
    ops.push({ op, until: Number.POSITIVE_INFINITY });
  }

  return {
    rest: (entry: LedgerEntry, nowMs: number): void => {
      resting.set(entry.requestId, { entry, sinceMs: nowMs });
    },
    /** The reservation of a request whose end is to be written now: it goes with its end, unless it went before. */
    wake(requestId: string): LedgerEntry | undefined {
      const entry = resting.get(requestId)?.entry;
      if (entry !== undefined) resting.delete(requestId);
      return entry;
    },
    push: (waiting: Waiting): void => {
      ops.push(waiting);
    },
    /** All that is to go now, which leaves the line. @param nowMs reservations that began to rest long before join it */
    take(nowMs: number): Waiting[] {
      for (const [requestId, { entry, sinceMs }] of resting) {
        if (nowMs - sinceMs < REST_MS_MAX) break;
        resting.delete(requestId);
        join({ kind: "reserve", entry });
      }
      const taken = ops;
      ops = [];
      return taken;
    },
    /** Puts back what could not be written, before all else. */
    putBack: (taken: Waiting[]): void => {
      ops = [...taken, ...ops];
    },
    /** Those in line, to be changed in place. */
    waiting: (): Waiting[] => ops,
    /** How many wait or rest. */
    size: (): number => ops.length + resting.size,
    rests: (): boolean => resting.size > 0,
  };
}
