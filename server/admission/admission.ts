// Whether and when a call may run. It issues tickets: a place on a warm engine, held until the call has ended, however it
// ends. Plans and quotas are decided here as well, once there is a ledger to count with; today it is one line per model.

import { ApiError } from "@oxbow/contract";

export interface AdmissionOptions<E> {
  /**
   * A warm engine with a free slot, the slot taken; null while all are busy.
   * @throws ApiError `model_not_ready` while the model loads, `model_failed` when it never will
   */
  place: (model: string) => { engine: E; release: () => void } | null;
  /** Callers that may wait for one model at the same time. */
  depthMax: number;
  waitMsMax: number;
  now: () => number;
}

export interface Ticket<E> {
  engine: E;
  waitedMs: number;
  /** Gives the slot back. Safe to call twice: a call can end in more than one way at once. */
  close(): void;
}

export type Admission<E> = ReturnType<typeof createAdmission<E>>;

interface Waiter<E> {
  since: number;
  go: (ticket: Ticket<E>) => void;
  fail: (error: unknown) => void;
}

export function createAdmission<E>({ place, depthMax, waitMsMax, now }: AdmissionOptions<E>) {
  const lines = new Map<string, Set<Waiter<E>>>();
  let open = 0;
  let closed = false;

  /** A ticket if one can be had now. A model that is still loading is no different from one that is busy: it will come. */
  function tryPlace(model: string, since: number): Ticket<E> | ApiError | null {
    try {
      const placement = place(model);
      if (placement === null) return null;
      open++;
      let held = true;
      return {
        engine: placement.engine,
        waitedMs: now() - since,
        close: () => {
          if (!held) return;
          held = false;
          open--;
          placement.release();
        },
      };
    } catch (error) {
      if (error instanceof ApiError && error.row === "model_not_ready") return error;
      throw error;
    }
  }

  function wait(model: string, since: number, signal: AbortSignal, notReady: ApiError | null): Promise<Ticket<E>> {
    const line = lines.get(model) ?? new Set();
    lines.set(model, line);
    if (line.size >= depthMax) {
      const text = `${line.size} calls are already waiting for this model. Try again in a few seconds.`;
      throw new ApiError("queue_full", text, { retryAfterMs: QUEUE_FULL_RETRY_MS });
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", hangUp);
        line.delete(waiter);
      };
      const waiter: Waiter<E> = {
        since,
        go: (ticket) => {
          leave();
          resolve(ticket);
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const hangUp = () => waiter.fail(signal.reason);
      const timer = setTimeout(() => {
        const text = `No engine was free within ${waitMsMax / 1000} s. Try again.`;
        waiter.fail(notReady ?? new ApiError("queue_timeout", text, { retryAfterMs: QUEUE_FULL_RETRY_MS }));
      }, waitMsMax);
      signal.addEventListener("abort", hangUp);
      line.add(waiter);
    });
  }

  return {
    /**
     * Waits for a slot of `model`. Decides in this order:
     *  1. the server is draining: refuse;
     *  2. a slot is free and nobody waits: go at once;
     *  3. `depthMax` callers already wait: refuse;
     *  4. wait in order of arrival.
     *
     * @throws ApiError `shutting_down` (1), `queue_full` (3), `queue_timeout` or `model_not_ready` after `waitMsMax` (4),
     *   `model_failed`; the signal's reason on hang-up
     */
    async admit(model: string, signal: AbortSignal): Promise<Ticket<E>> {
      if (closed) throw draining();
      signal.throwIfAborted();
      const since = now();
      const line = lines.get(model);
      const placed = line && line.size > 0 ? null : tryPlace(model, since);
      if (placed !== null && !(placed instanceof ApiError)) return placed;
      return wait(model, since, signal, placed);
    },

    /** Lets those who wait for `model` go, as far as there are slots. Called whenever one becomes free. */
    pump(model: string): void {
      for (const waiter of lines.get(model) ?? []) {
        try {
          const placed = tryPlace(model, waiter.since);
          if (placed === null || placed instanceof ApiError) return;
          waiter.go(placed);
        } catch (error) {
          waiter.fail(error);
        }
      }
    },

    /** Admits nobody any more, and sends away who waits. Calls that run may end. */
    close(): void {
      closed = true;
      for (const line of lines.values()) for (const waiter of line) waiter.fail(draining());
    },

    counts: () => ({ open, waiting: [...lines.values()].reduce((sum, line) => sum + line.size, 0) }),
  };
}

const QUEUE_FULL_RETRY_MS = 2_000;

function draining(): ApiError {
  return new ApiError("shutting_down", "The server is shutting down. Try again in a few seconds.", {
    retryAfterMs: QUEUE_FULL_RETRY_MS,
  });
}
