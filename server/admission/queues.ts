// The line of every model, joined to the fleet: who comes gets a slot at once when one is free and nobody waits, else he
// stands in line until one is. A slot is given back once, whatever became of the call.

import { ApiError } from "@oxbow/contract";
import type { QueueClass } from "../config.ts";
import { createQueue, type Queue, type QueueAsk, type QueueReport, type Turn } from "./queue.ts";

export interface QueuesOptions<E> {
  /**
   * A warm engine with a free slot, the slot taken; null while all are busy.
   * @throws ApiError `model_not_ready` while the model loads, `model_failed` when it never will
   */
  place: (model: string, wish: PlaceWish) => Placement<E> | null;
  /**
   * Accounts that can be served by the same engines stand in the same line; absent: all. Else who can only go where all
   * is taken would be in the way of who could go elsewhere.
   */
  pool?: (model: string, accountId: string) => string;
  /** The first goes first. */
  classes: readonly QueueClass[];
  /** Monotonic ms. */
  now: () => number;
  /** Calls `run` once, after `ms`, unless what it returns is called before. */
  after?: (ms: number, run: () => void) => () => void;
}

export interface PlaceWish {
  accountId: string;
  affinity?: string;
}

export interface Placement<E> {
  engine: E;
  release: () => void;
  /** What became of the call, in the words of who gave the place. */
  report?: (outcome: never) => void;
}

/** Who waits, as the line needs to know it. */
export type Standing = Pick<QueueAsk<unknown>, "accountId" | "priority" | "weight" | "accountDepthMax" | "affinity">;

/** A slot that is held. */
export interface Seat<E> {
  engine: E;
  waitedMs: number;
  /** Gives the slot back. Safe to call twice: a call can end in more than one way at once. */
  close(): void;
}

export interface ModelQueue {
  model: string;
  classes: QueueReport[];
}

export type Queues<E> = ReturnType<typeof createQueues<E>>;

interface ModelState<E> {
  queue: Queue<Placement<E>>;
  /** Why there is no engine yet, when that is so. */
  notReady: ApiError | null;
}

export function createQueues<E>({ place, ...options }: QueuesOptions<E>) {
  const models = new Map<string, ModelState<E>>();

  function stateOf(model: string): ModelState<E> {
    const known = models.get(model);
    if (known) return known;
    const state = { queue: createQueue<Placement<E>>(options), notReady: null };
    models.set(model, state);
    return state;
  }

  /** A slot if one can be had now. A model that is still loading is no different from one that is busy: it will come. */
  function tryPlace(model: string, state: ModelState<E>): Placement<E> | null {
    state.notReady = null;
    try {
      return place(model);
    } catch (error) {
      if (!(error instanceof ApiError && error.row === "model_not_ready")) throw error;
      state.notReady = error;
      return null;
    }
  }

  return {
    /**
     * Waits for a slot of `model`. Decides in this order:
     *  1. a slot is free and nobody waits: go at once;
     *  2. the line is too long, or too slow: refuse;
     *  3. wait for his turn.
     *
     * @throws ApiError `queue_full` (2), `queue_timeout` or `model_not_ready` (3), `model_failed`; the signal's reason
     */
    async enter(model: string, standing: Standing, signal: AbortSignal): Promise<Seat<E>> {
      signal.throwIfAborted();
      const state = stateOf(model);
      const { queue } = state;
      const placed = queue.size > 0 ? null : tryPlace(model, state);
      if (placed) return seatOf(queue.pass(standing.priority, placed));
      return new Promise((resolve, reject) => {
        const fail = (error: unknown) => {
          const late = error instanceof ApiError && error.row === "queue_timeout";
          reject(late ? (state.notReady ?? error) : error);
        };
        queue.enter({ ...standing, signal, go: (turn) => resolve(seatOf(turn)), fail });
      });
    },

    /** Lets those who wait for `model` go, as far as there are slots. To be called whenever one becomes free. */
    pump(model: string): void {
      const state = models.get(model);
      if (!state) return;
      try {
        while (state.queue.size > 0) {
          const placed = tryPlace(model, state);
          if (!placed) return;
          state.queue.give(placed);
        }
      } catch (error) {
        state.queue.fail(error); // it never will
      }
    },

    /** Sends away everybody who waits. */
    fail(error: unknown): void {
      for (const { queue } of models.values()) queue.fail(error);
    },

    waiting: () => [...models.values()].reduce((sum, { queue }) => sum + queue.size, 0),
    /** Every model that was called since the start. */
    report: (): ModelQueue[] => [...models].map(([model, { queue }]) => ({ model, classes: queue.report() })),
  };
}

function seatOf<E>({ given, waitedMs, done }: Turn<Placement<E>>): Seat<E> {
  let held = true;
  return {
    engine: given.engine,
    waitedMs,
    close: () => {
      if (!held) return;
      held = false;
      done();
      given.release();
    },
  };
}
