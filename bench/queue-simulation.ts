// The queue of one model under more load than it has slots for, on a virtual clock: an hour passes in a second, and the same
// seed gives the same hour. Arrivals come at random (Poisson), calls take a random time (exponential), as in the
// table that the design was chosen by.

import { createQueue, type Turn } from "../server/admission/queue.ts";
import { createHeap, type HeapItem } from "../server/admission/queue-heap.ts";
import type { QueueClass } from "../server/config.ts";

export interface Account {
  id: string;
  /** Its class. */
  priority: string;
  /** Calls a second. */
  rate: number;
  /** What the table counts it under. */
  group: string;
}

export interface SimulationOptions {
  classes: readonly QueueClass[];
  slots: number;
  serviceMsMean: number;
  accounts: readonly Account[];
  /** What is counted, and before it what fills the line. */
  ms: number;
  warmUpMs: number;
  seed: number;
  /** Everybody in one line in order of arrival, for comparison: callers wait as long as their class may, and hang up. */
  fifo?: boolean;
}

/** Of the calls that came after the warm-up. Waits in ms, of those served; null when nobody was. */
export interface GroupResult {
  group: string;
  came: number;
  served: number;
  refused: number;
  expired: number;
  p50: number | null;
  p99: number | null;
}

interface Event extends HeapItem {
  atMs: number;
  order: number;
  run: () => void;
}

export function simulate(options: SimulationOptions): GroupResult[] {
  const { slots, serviceMsMean, accounts, fifo = false } = options;
  const clock = createClock();
  const random = createRandom(options.seed);
  const queue = createQueue<"slot">({
    classes: fifo ? [{ id: "all", floor: 0, depthMax: 1e9, waitMsMax: 1e9 }] : options.classes,
    now: clock.now,
    after: clock.after,
  });
  const patience = new Map(options.classes.map(({ id, waitMsMax }) => [id, waitMsMax]));
  const groups = new Map(
    accounts.map(({ group }) => [group, { came: 0, refused: 0, expired: 0, waits: [] as number[] }]),
  );
  const endMs = options.warmUpMs + options.ms;
  let free = slots;

  function come(account: Account): void {
    if (clock.now() >= endMs) return;
    clock.after(exponential(random, 1_000 / account.rate), () => come(account));
    const group = groups.get(account.group)!;
    const counts = clock.now() >= options.warmUpMs;
    const priority = fifo ? "all" : account.priority;
    if (counts) group.came++;
    const go = (turn: Turn<"slot">) => {
      if (counts) group.waits.push(turn.waitedMs);
      serve(turn);
    };
    if (free > 0 && queue.size === 0) {
      free--;
      go(queue.pass(priority, "slot"));
      return;
    }
    const caller = new AbortController();
    try {
      queue.enter({
        accountId: fifo ? "all" : account.id,
        priority,
        weight: 1,
        accountDepthMax: null,
        signal: caller.signal,
        go,
        fail: () => {
          if (counts) group.expired++;
        },
      });
      if (fifo) clock.after(patience.get(account.priority)!, () => caller.abort());
    } catch {
      if (counts) group.refused++;
    }
  }

  function serve(turn: Turn<"slot">): void {
    clock.after(exponential(random, serviceMsMean), () => {
      turn.done();
      if (queue.size > 0) queue.give("slot");
      else free++;
    });
  }

  for (const account of accounts) clock.after(exponential(random, 1_000 / account.rate), () => come(account));
  clock.run();
  if (free !== slots) throw new Error(`${free} of ${slots} slots are left`);
  return [...groups].map(([group, counts]) => resultOf(group, counts));
}

/** @param waits in ms, of those served */
export function resultOf(group: string, { came, refused, expired, waits }: Counts): GroupResult {
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * sorted.length)] ?? null;
  return { group, came, served: waits.length, refused, expired, p50: at(0.5), p99: at(0.99) };
}

interface Counts {
  came: number;
  refused: number;
  expired: number;
  waits: number[];
}

/** The load of the table: three classes, and in the lowest one account that sends seventy per cent of it. */
export function mixedLoad(callsPerSecond: number): Account[] {
  const many = (group: string, priority: string, count: number, share: number): Account[] =>
    Array.from({ length: count }, (_, index) => {
      return { id: `${group} ${index}`, priority, rate: (share * callsPerSecond) / count, group };
    });
  return [
    ...many("highest", "highest", 5, 0.15),
    ...many("high", "high", 10, 0.25),
    ...many("best effort, light", "best_effort", 10, 0.6 * 0.3),
    ...many("best effort, heavy", "best_effort", 1, 0.6 * 0.7),
  ];
}

function createClock() {
  const events = createHeap<Event>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  let nowMs = 0;
  let orders = 0;
  return {
    now: () => nowMs,
    after(ms: number, run: () => void) {
      const event = { atMs: nowMs + ms, order: orders++, run, at: -1 };
      events.add(event);
      return () => {
        if (event.at >= 0) events.remove(event);
      };
    },
    run() {
      for (let next = events.first; next; next = events.first) {
        events.remove(next);
        nowMs = next.atMs;
        next.run();
      }
    },
  };
}

/** A random time around `mean`: that between events which know nothing of each other. */
export function exponential(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean;
}

/** Numbers from 0 to below 1, the same for the same seed: a 32-bit counter, mixed (splitmix32). */
export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return (mixed >>> 0) / 0x1_0000_0000;
  };
}
