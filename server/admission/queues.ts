// The line of every model, joined to the fleet: who comes gets a slot at once when one is free and nobody waits, else he
// stands in line until one is. A slot is given back once, whatever became of the call.

import { ApiError } from "@oxbow/contract";
import type { QueueClass } from "../config.ts";
import { afterTimeout, createQueue, type Queue, type QueueReport, type Turn } from "./queue.ts";
import {
  HeldSeat,
  type MaybeLater,
  type Placement,
  type Places,
  type PlaceWish,
  type Seat,
  type Standing,
} from "./seat.ts";

export type { Seat, Standing } from "./seat.ts";

export interface QueuesOptions<E, O = never> {
  /**
   * A warm engine with a free slot, the slot taken; null while all are busy.
   * @throws ApiError `model_not_ready` while the model loads, `model_failed` when it never will
   */
  place: (model: string, wish: PlaceWish) => Placement<E, O> | null;
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

export interface ModelQueue {
  model: string;
  classes: QueueReport[];
}

/** One line. A model has several when some accounts have engines of their own. */
interface LineState<E, O> {
  queue: Queue<Placement<E, O>>;
  /** Why there is no engine yet, when that is so. */
  notReady: ApiError | null;
}

export function createQueues<E, O = never>({ place, pool = () => "", ...options }: QueuesOptions<E, O>) {
  const { now, classes, after = afterTimeout } = options;
  const models = new Map<string, Map<string, LineState<E, O>>>();
  const places: Places<E, O> = {
    tryPlace: (model, wish) => tryPlace(model, lineOf(model, wish), wish),
    takeTurn,
    waitMsMaxOf: (priority) => classes.find(({ id }) => id === priority)?.waitMsMax ?? 0,
    now,
    after,
  };

  function lineOf(model: string, { accountId, within }: Standing): LineState<E, O> {
    const key = within === undefined ? pool(model, accountId) : `${pool(model, accountId)} within ${within}`;
    return models.get(model)?.get(key) ?? addLine(model, key);
  }

  function addLine(model: string, key: string): LineState<E, O> {
    const line = { queue: createQueue<Placement<E, O>>(options), notReady: null };
    const lines = models.get(model) ?? new Map<string, LineState<E, O>>();
    models.set(model, lines.set(key, line));
    return line;
  }

  /** A slot if one can be had now. A model that is still loading is no different from one that is busy: it will come. */
  function tryPlace(model: string, line: LineState<E, O>, wish: PlaceWish): Placement<E, O> | null {
    line.notReady = null;
    try {
      return place(model, wish);
    } catch (error) {
      if (!(error instanceof ApiError && error.row === "model_not_ready")) throw error;
      line.notReady = error;
      return null;
    }
  }

  function takeTurn(model: string, standing: Standing, signal: AbortSignal): MaybeLater<Turn<Placement<E, O>>> {
    const line = lineOf(model, standing);
    const { queue } = line;
    const placed = queue.size > 0 ? null : tryPlace(model, line, standing);
    return placed ? queue.pass(standing.priority, placed) : waitIn(line, standing, signal);
  }

  function waitIn(line: LineState<E, O>, standing: Standing, signal: AbortSignal): Promise<Turn<Placement<E, O>>> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        const late = error instanceof ApiError && error.row === "queue_timeout";
        reject(late ? (line.notReady ?? error) : error);
      };
      line.queue.enter({ ...standing, signal, go: resolve, fail });
    });
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
    async enter(model: string, standing: Standing, signal: AbortSignal): Promise<Seat<E, O>> {
      signal.throwIfAborted();
      const turn = takeTurn(model, standing, signal);
      return new HeldSeat(places, turn instanceof Promise ? await turn : turn, model, standing);
    },

    /** Lets those who wait for `model` go, as far as there are slots. To be called whenever one becomes free. */
    pump(model: string): void {
      for (const line of models.get(model)?.values() ?? []) {
        try {
          while (line.queue.size > 0 && line.queue.offer((ask) => tryPlace(model, line, ask)));
        } catch (error) {
          line.queue.fail(error); // it never will
        }
      }
    },

    /** Sends away everybody who waits. */
    fail(error: unknown): void {
      for (const lines of models.values()) for (const { queue } of lines.values()) queue.fail(error);
    },

    waiting: () =>
      [...models.values()].flatMap((lines) => [...lines.values()]).reduce((sum, { queue }) => sum + queue.size, 0),
    /** Every model that was called since the start. */
    report: (): ModelQueue[] =>
      [...models].map(([model, lines]) => ({
        model,
        classes: [...lines.values()].map(({ queue }) => queue.report()).reduce(added),
      })),
  };
}

/** Of the lines of one model: counts add up, of the waits the longer one is told. */
function added(one: QueueReport[], other: QueueReport[]): QueueReport[] {
  const longer = (a: number | null, b: number | null) => (a === null || b === null ? (a ?? b) : Math.max(a, b));
  return one.map((each, index) => {
    const also = other[index]!;
    return {
      priority: each.priority,
      depth: each.depth + also.depth,
      wait_ms_p50: longer(each.wait_ms_p50, also.wait_ms_p50),
      wait_ms_p99: longer(each.wait_ms_p99, also.wait_ms_p99),
      admitted: each.admitted + also.admitted,
      shed: each.shed + also.shed,
      expired: each.expired + also.expired,
      cancelled: each.cancelled + also.cancelled,
    };
  });
}
