// How many calls run at the same time, and the line in which the others wait: by priority, then in order of arrival.

import { ApiError } from "@oxbow/contract";

export interface SlotOptions {
  slots: number;
  /** Calls that may wait; one more is refused. */
  waitingMax: number;
  /** True when a smaller `priority` goes first. */
  lowFirst: boolean;
}

export interface Slots {
  /**
   * Waits for a slot.
   *
   * @returns gives the slot back; a second call does nothing
   * @throws ApiError `queue_full`; the signal's reason when it aborts before the turn comes
   */
  take(priority: number, signal: AbortSignal): Promise<() => void>;
  running(): number;
  waiting(): number;
}

interface Waiter {
  rank: number;
  go(): void;
}

export function createSlots({ slots, waitingMax, lowFirst }: SlotOptions): Slots {
  let running = 0;
  const line: Waiter[] = [];

  function hold(): () => void {
    let held = true;
    running++;
    return () => {
      if (!held) return;
      held = false;
      running--;
      line.shift()?.go();
    };
  }

  async function take(priority: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (running < slots) return hold();
    if (line.length >= waitingMax) {
      throw new ApiError("queue_full", `The simulator is overloaded: ${waitingMax} calls are waiting already.`, {
        retryAfterMs: 1000,
      });
    }
    const rank = lowFirst ? priority : -priority;
    return new Promise((resolve, reject) => {
      const leave = () => {
        line.splice(line.indexOf(waiter), 1);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        rank,
        go() {
          signal.removeEventListener("abort", leave);
          resolve(hold());
        },
      };
      const place = line.findIndex((other) => other.rank > rank);
      line.splice(place < 0 ? line.length : place, 0, waiter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  return { take, running: () => running, waiting: () => line.length };
}
