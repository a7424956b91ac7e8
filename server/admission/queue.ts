// The line of one model: whose turn it is when a slot becomes free, and who is not let in. Classes go in their order, with
// a floor below which none is pushed; inside a class accounts share fairly (queue-line.ts). It holds no slot and knows no
// engine: admission asks for one and gives it to whose turn it is.

import { ApiError } from "@oxbow/contract";
import type { QueueClass } from "../config.ts";
import { createLine, type Line, type Place } from "./queue-line.ts";
import { createPace, type Pace } from "./queue-pace.ts";
import { createWaits, type Waits } from "./queue-waits.ts";

export interface QueueOptions {
  /** The first goes first. */
  classes: readonly QueueClass[];
  /** Monotonic ms. */
  now: () => number;
  /** Calls `run` once, after `ms`, unless what it returns is called before. */
  after?: (ms: number, run: () => void) => () => void;
}

/** @template G what is waited for: a place on an engine */
export interface QueueAsk<G> {
  accountId: string;
  /** The id of its class. */
  priority: string;
  /** Share among the accounts of the class, above 0. */
  weight: number;
  /** Calls of this account that may wait; null: as many as of the class. */
  accountDepthMax: number | null;
  /** What the place that he waits for should be like. */
  affinity?: string | undefined;
  /** Names the engines that will do; absent: all of the model's. */
  within?: string | undefined;
  signal: AbortSignal;
  /** It is his turn, and `turn` is his to end, even if he hangs up at this moment. */
  go: (turn: Turn<G>) => void;
  /** ApiError `queue_timeout`, the signal's reason, or what `fail` was called with. */
  fail: (error: unknown) => void;
}

export interface Turn<G> {
  given: G;
  waitedMs: number;
  /** To be called once the call has ended: what the estimates are made of. */
  done(): void;
}

/** One for every call, so it is of a class. */
class PacedTurn<G> implements Turn<G> {
  readonly given: G;
  readonly waitedMs: number;
  private readonly pace: Pace;
  private readonly beganMs: number;

  constructor(given: G, waitedMs: number, pace: Pace, classIndex: number) {
    this.given = given;
    this.waitedMs = waitedMs;
    this.pace = pace;
    this.beganMs = pace.begin(classIndex);
  }

  done(): void {
    this.pace.end(this.beganMs);
  }
}

/** One class now, and since the start. Waits in ms over the last five minutes; null when nobody went. */
export interface QueueReport {
  priority: string;
  depth: number;
  wait_ms_p50: number | null;
  wait_ms_p99: number | null;
  admitted: number;
  /** Refused at once: no room, or no chance to be served in time. */
  shed: number;
  /** Refused after the time that their class may wait. */
  expired: number;
  /** Hung up while they waited. */
  cancelled: number;
}

export interface Queue<G> {
  /** Calls in line. */
  readonly size: number;
  /** For who need not wait, because nobody does and a slot is free. */
  pass(priority: string, given: G): Turn<G>;
  /**
   * Stands in line; `go` or `fail` is called once, later. Decides in this order:
   *  1. his account, or his class, has as many in line as it may: refuse;
   *  2. at the present pace his turn comes well after the time that he may wait: refuse;
   *  3. wait.
   *
   * @throws ApiError `queue_full` (1, 2)
   */
  enter(ask: QueueAsk<G>): void;
  /** Gives `given` to whose turn it is. To be called only while `size` is above 0. */
  give(given: G): void;
  /**
   * Asks for what he whose turn it is waits for, and gives it to him. To be called only while `size` is above 0.
   * @param find null: there is none, and it stays his turn
   */
  offer(find: (ask: QueueAsk<G>) => G | null): boolean;
  /** Sends everybody away. */
  fail(error: unknown): void;
  report(): QueueReport[];
}

interface Waiter<G> {
  ask: QueueAsk<G>;
  since: number;
  place: Place<Waiter<G>>;
  hangUp: () => void;
}

interface ClassState<G> extends QueueClass {
  index: number;
  line: Line<Waiter<G>>;
  waits: Waits;
  /** What the floor owes it, in calls. */
  owed: number;
  admitted: number;
  shed: number;
  expired: number;
  cancelled: number;
}

export function createQueue<G>({ classes: given, now, after = afterTimeout }: QueueOptions): Queue<G> {
  const classes = given.map((each, index): ClassState<G> => {
    const none = { owed: 0, admitted: 0, shed: 0, expired: 0, cancelled: 0 };
    return { ...each, index, line: createLine(now), waits: createWaits(now), ...none };
  });
  const byId = new Map(classes.map((each) => [each.id, each]));
  const pace = createPace(classes.length, now);
  let size = 0;
  let stopTimer: (() => void) | null = null;

  function classOf(priority: string): ClassState<G> {
    const found = byId.get(priority);
    if (!found) throw new Error(`no such class: ${priority}`);
    return found;
  }

  function turnOf(each: ClassState<G>, given: G, waitedMs: number): Turn<G> {
    each.admitted++;
    each.waits.add(waitedMs);
    return new PacedTurn(given, waitedMs, pace, each.index);
  }

  /**
   * How long until the turn of who comes now, if things go on as they did lately; 0 while nothing is known. He waits for
   * his class to have served who is before him, and for his account to have served its earlier calls. What others took
   * lately is not there for them; their floor, and their fair share, is.
   */
  function estimateMs(each: ClassState<G>, { accountId, weight }: QueueAsk<G>): number {
    const all = pace.all();
    if (all === null) return 0;
    const { line, floor } = each;
    const higher = classes.slice(0, each.index);
    const left = Math.max(0, all - sum(higher.map(({ index }) => pace.takenBy(index))));
    const before = sum(higher.map((other) => other.line.depth));
    const ahead = line.ahead(accountId, weight);
    const byClassMs = Math.min(before + ahead === 0 ? 0 : (before + ahead) / left, (ahead + 1) / (floor * all));
    const own = line.depthOf(accountId);
    if (own === 0) return byClassMs;
    const ofClass = Math.max(left, floor * all);
    const others = pace.takenBy(each.index) - line.takenBy(accountId);
    const ofAccount = Math.max(ofClass - others, ofClass * line.shareOf(accountId, weight));
    return Math.max(byClassMs, own / ofAccount);
  }

  function refuse(each: ClassState<G>, text: string, retryAfterMs: number): never {
    each.shed++;
    const waitMs = Math.min(Math.max(retryAfterMs, RETRY_MS_MIN), RETRY_MS_MAX);
    throw new ApiError("queue_full", `${text} Try again in ${Math.ceil(waitMs / 1000)} s.`, { retryAfterMs: waitMs });
  }

  function checkRoom(each: ClassState<G>, ask: QueueAsk<G>): void {
    const own = each.line.depthOf(ask.accountId);
    if (ask.accountDepthMax !== null && own >= ask.accountDepthMax) {
      refuse(each, `${own} of your calls are already waiting for this model.`, 0);
    }
    if (each.line.depth >= each.depthMax) {
      refuse(each, `${each.line.depth} calls are already waiting for this model.`, 0);
    }
    const waitMs = estimateMs(each, ask);
    if (waitMs <= SURE * each.waitMsMax) return;
    const text = `So many calls wait for this model that yours would not be served within ${each.waitMsMax / 1000} s.`;
    refuse(each, text, waitMs - each.waitMsMax);
  }

  /** What every way out of the line has in common. */
  function left(waiter: Waiter<G>): void {
    waiter.ask.signal.removeEventListener("abort", waiter.hangUp);
    if (--size > 0) return;
    stopTimer?.();
    stopTimer = null;
  }

  function leave(each: ClassState<G>, waiter: Waiter<G>, error: unknown): void {
    each.line.remove(waiter.place);
    if (each.line.depth === 0) each.owed = 0;
    left(waiter);
    waiter.ask.fail(error);
  }

  /**
   * Whose turn it is: the class that its floor owes the most, if it owes any a whole call, else the first that waits.
   * Every call that goes owes each waiting class its share; who is served is owed one less.
   */
  function choose(): ClassState<G> {
    const due = (each: ClassState<G>) => each.owed + each.floor;
    const [first, ...others] = classes.filter((each) => each.line.depth > 0);
    let chosen = first!;
    for (const each of others) if (due(each) >= WHOLE && due(each) > due(chosen)) chosen = each;
    return chosen;
  }

  function settleOwed(chosen: ClassState<G>): void {
    for (const each of classes) if (each.line.depth > 0) each.owed += each.floor;
    chosen.owed = Math.max(0, chosen.owed - 1);
  }

  function offer(find: (ask: QueueAsk<G>) => G | null): boolean {
    const each = choose();
    const waiter = each.line.next!;
    const given = find(waiter.ask);
    if (given === null) return false;
    settleOwed(each);
    each.line.take();
    if (each.line.depth === 0) each.owed = 0;
    left(waiter);
    waiter.ask.go(turnOf(each, given, now() - waiter.since));
    return true;
  }

  /** One timer for all: in each class the one who waits the longest is the next to be sent away. */
  function watch(): void {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { line, waitMsMax } of classes) {
      if (line.oldest) dueMs = Math.min(dueMs, line.oldest.since + waitMsMax - now());
    }
    stopTimer = after(Math.max(0, dueMs), expire);
  }

  function expire(): void {
    stopTimer = null;
    for (const each of classes) {
      const text = `No engine was free within ${each.waitMsMax / 1000} s. Try again.`;
      for (let first = each.line.oldest; first && first.since + each.waitMsMax <= now(); first = each.line.oldest) {
        each.expired++;
        leave(each, first, new ApiError("queue_timeout", text, { retryAfterMs: RETRY_MS_MIN }));
      }
    }
    if (size > 0 && !stopTimer) watch();
  }

  return {
    get size() {
      return size;
    },
    pass: (priority, given) => turnOf(classOf(priority), given, 0),

    enter(ask) {
      const each = classOf(ask.priority);
      ask.signal.throwIfAborted();
      checkRoom(each, ask);
      const hangUp = () => {
        const { reason } = ask.signal;
        // Whoever gave him less time than his class has says so in our words.
        if (reason instanceof ApiError && reason.row === "queue_timeout") each.expired++;
        else each.cancelled++;
        leave(each, waiter, reason);
      };
      const waiter = { ask, since: now(), hangUp } as Waiter<G>;
      waiter.place = each.line.add(ask.accountId, ask.weight, waiter);
      ask.signal.addEventListener("abort", hangUp);
      size++;
      // The timer that runs is for somebody who leaves earlier, unless this class waits less than the others.
      if (!stopTimer || each.line.depth === 1) {
        stopTimer?.();
        watch();
      }
    },

    give: (given) => void offer(() => given),
    offer,

    fail(error) {
      for (const each of classes)
        for (let first = each.line.oldest; first; first = each.line.oldest) leave(each, first, error);
    },

    report: () =>
      classes.map(({ id, line, waits, admitted, shed, expired, cancelled }) => {
        const went = waits.percentiles();
        const waited = { wait_ms_p50: went?.p50 ?? null, wait_ms_p99: went?.p99 ?? null };
        return { priority: id, depth: line.depth, ...waited, admitted, shed, expired, cancelled };
      }),
  };
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** Sums of floors such as 0.05 end a hair below the whole. */
const WHOLE = 1 - 1e-9;
/** An estimate is one of a future that nobody knows: who may just be in time is let in. */
const SURE = 1.25;
/** SDKs wait as long as they are told up to a minute, and most callers would rather try a second later than hear less. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export function afterTimeout(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}
