// The line of every model, joined to the fleet: who comes gets a slot at once when one is free and nobody waits, else he
// stands in line until one is. A slot is given back once, whatever became of the call.

import { ApiError } from "@oxbow/contract";
import type { QueueClass } from "../config.ts";
import { afterTimeout, createQueue, type Queue, type QueueAsk, type QueueReport, type Turn } from "./queue.ts";

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

/** What a place should be like. */
export interface PlaceWish {
  accountId: string;
  /** Calls with the same text go to the same engine where that is possible. */
  affinity?: string | undefined;
  /** Names the engines that will do; absent: all of the model's. */
  within?: string | undefined;
  /** Ids of engines that it must not be. */
  not?: ReadonlySet<string>;
}

/** @template O what is told of a call, in the words of who gives the places */
export interface Placement<E, O = never> {
  engine: E;
  release: () => void;
  report?: (outcome: O) => void;
}

/** Who waits, as the line needs to know it. */
export type Standing = Pick<
  QueueAsk<unknown>,
  "accountId" | "priority" | "weight" | "accountDepthMax" | "affinity" | "within"
>;

/** A slot that is held. */
export interface Seat<E, O = never> {
  /** Whose slot it is: another one after `move` and `again`. */
  readonly engine: E;
  readonly waitedMs: number;
  /** What became of the call on this engine. */
  report(outcome: O): void;
  /**
   * Exchanges the slot for one of another engine, if one is free at once. Whoever waits in line is passed.
   * @param outcome what became of the call on the engine that it leaves, if it does
   */
  move(not: ReadonlySet<string>, outcome?: O): boolean;
  /**
   * Gives the slot back and stands in line again, as long as the class may wait altogether.
   * @param msMax and no longer than so this time
   * @throws as `enter`; the seat is closed then
   */
  again(msMax?: number): Promise<void>;
  /** Gives the slot back. Safe to call twice: a call can end in more than one way at once. */
  close(): void;
}

export interface ModelQueue {
  model: string;
  classes: QueueReport[];
}

export type Queues<E, O = never> = ReturnType<typeof createQueues<E, O>>;

/** One line. A model has several when some accounts have engines of their own. */
interface LineState<E, O> {
  queue: Queue<Placement<E, O>>;
  /** Why there is no engine yet, when that is so. */
  notReady: ApiError | null;
}

export function createQueues<E, O = never>({ place, pool = () => "", ...options }: QueuesOptions<E, O>) {
  const { now, classes, after = afterTimeout } = options;
  const models = new Map<string, Map<string, LineState<E, O>>>();

  function lineOf(model: string, { accountId, within }: Standing): LineState<E, O> {
    const lines = models.get(model) ?? new Map<string, LineState<E, O>>();
    models.set(model, lines);
    const key = within === undefined ? pool(model, accountId) : `${pool(model, accountId)} within ${within}`;
    const line = lines.get(key) ?? { queue: createQueue<Placement<E, O>>(options), notReady: null };
    lines.set(key, line);
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

  function takeTurn(model: string, standing: Standing, signal: AbortSignal): Promise<Turn<Placement<E, O>>> {
    const line = lineOf(model, standing);
    const { queue } = line;
    const placed = queue.size > 0 ? null : tryPlace(model, line, standing);
    if (placed) return Promise.resolve(queue.pass(standing.priority, placed));
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        const late = error instanceof ApiError && error.row === "queue_timeout";
        reject(late ? (line.notReady ?? error) : error);
      };
      queue.enter({ ...standing, signal, go: resolve, fail });
    });
  }

  function seatOf(first: Turn<Placement<E, O>>, model: string, standing: Standing, signal: AbortSignal): Seat<E, O> {
    let turn: Turn<Placement<E, O>> | null = first;
    let { given, waitedMs } = first;
    const since = now() - waitedMs;
    const waitMsMax = classes.find(({ id }) => id === standing.priority)?.waitMsMax ?? 0;

    function close(): void {
      if (turn === null) return;
      turn.done();
      turn = null;
      given.release();
    }

    async function takeTurnWithin(ms: number): Promise<Turn<Placement<E, O>>> {
      const late = new AbortController();
      const stop = after(ms, () => late.abort(tooLate(ms)));
      try {
        return await takeTurn(model, standing, AbortSignal.any([signal, late.signal]));
      } finally {
        stop();
      }
    }

    return {
      get engine() {
        return given.engine;
      },
      get waitedMs() {
        return waitedMs;
      },
      report: (outcome) => given.report?.(outcome),
      move(not, outcome) {
        const other = turn && tryPlace(model, lineOf(model, standing), { ...standing, not });
        if (!other) return false;
        const before = given;
        given = other;
        if (outcome !== undefined) before.report?.(outcome);
        before.release();
        return true;
      },
      async again(msMax) {
        close();
        if (now() - since >= waitMsMax) throw tooLate(waitMsMax);
        turn = await (msMax === undefined ? takeTurn(model, standing, signal) : takeTurnWithin(msMax));
        given = turn.given;
        waitedMs += turn.waitedMs;
      },
      close,
    };
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
      return seatOf(await takeTurn(model, standing, signal), model, standing, signal);
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

function tooLate(waitMsMax: number): ApiError {
  return new ApiError("queue_timeout", `No engine was free within ${waitMsMax / 1000} s. Try again.`);
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
