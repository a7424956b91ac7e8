import { expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import type { QueueClass } from "../config.ts";
import { createQueue, type Turn } from "./queue.ts";

const CLASSES: QueueClass[] = [
  { id: "dedicated", floor: 0, depthMax: 1_000, waitMsMax: 30_000 },
  { id: "highest", floor: 0, depthMax: 1_000, waitMsMax: 30_000 },
  { id: "high", floor: 0.1, depthMax: 1_000, waitMsMax: 60_000 },
  { id: "best_effort", floor: 0.05, depthMax: 1_000, waitMsMax: 120_000 },
];
const IDS = CLASSES.map(({ id }) => id);

interface Ask {
  account?: string;
  priority?: string;
  weight?: number;
  depthMax?: number;
}

/** A queue on a clock that is moved by hand. What is given are numbers; what became of each call is kept by its name. */
function bench(classes = CLASSES) {
  let nowMs = 0;
  let timer: { at: number; run: () => void } | null = null;
  let timers = 0;
  const queue = createQueue<number>({
    classes,
    now: () => nowMs,
    after: (ms, run) => {
      timers++;
      const mine = { at: nowMs + ms, run };
      timer = mine;
      return () => {
        if (timer === mine) timer = null;
      };
    },
  });
  const went: string[] = [];
  const failed: { name: string; error: unknown; atMs: number }[] = [];
  const turns: Turn<number>[] = [];
  return {
    queue,
    went,
    failed,
    turns,
    timers: () => timers,
    timerSet: () => timer !== null,
    enter(name: string, { account = name, priority = "high", weight = 1, depthMax }: Ask = {}) {
      const caller = new AbortController();
      queue.enter({
        accountId: account,
        priority,
        weight,
        accountDepthMax: depthMax ?? null,
        signal: caller.signal,
        go: (turn) => {
          went.push(name);
          turns.push(turn);
        },
        fail: (error) => failed.push({ name, error, atMs: nowMs }),
      });
      return caller;
    },
    /** Gives until nobody is left, and says who went since. */
    giveAll() {
      const from = went.length;
      while (queue.size > 0) queue.give(0);
      return went.slice(from);
    },
    pass(ms: number) {
      const until = nowMs + ms;
      while (timer && timer.at <= until) {
        const { at, run } = timer;
        timer = null;
        nowMs = Math.max(nowMs, at);
        run();
      }
      nowMs = until;
    },
  };
}

function refusal(enter: () => unknown): ApiError {
  try {
    enter();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("was let in");
}
const rowOf = (error: unknown) => (error as ApiError).row;

test("a higher class goes before callers who came earlier", () => {
  const { enter, giveAll } = bench();
  for (const priority of IDS.toReversed()) enter(priority, { priority });
  expect(giveAll()).toEqual(IDS);
});

test("an account with one call goes before the second one of an account with many", () => {
  const { enter, giveAll } = bench();
  for (const name of ["a1", "a2", "a3"]) enter(name, { account: "a" });
  enter("b1", { account: "b" });
  expect(giveAll()).toEqual(["a1", "b1", "a2", "a3"]);
});

test("who has just been served stands behind the others, with one call at a time as with many", () => {
  const { enter, queue, went } = bench();
  for (let call = 0; call < 10; call++) enter(`heavy${call}`, { account: "heavy" });
  enter("quick0", { account: "quick" });
  for (let given = 1; given <= 10; given++) {
    queue.give(0);
    if (went.at(-1)!.startsWith("quick")) enter(`quick${given}`, { account: "quick" });
  }
  expect(went.filter((name) => name.startsWith("heavy"))).toHaveLength(5);
});

test("who comes late to a long line is not paid for the time before he came", () => {
  const { enter, giveAll, queue } = bench();
  for (let call = 0; call < 12; call++) enter(`a${call}`, { account: "a" });
  for (let given = 0; given < 8; given++) queue.give(0);
  for (const name of ["b0", "b1", "b2"]) enter(name, { account: "b" });
  expect(giveAll()).toEqual(["b0", "a8", "b1", "a9", "b2", "a10", "a11"]);
});

test("an account whose callers hung up pays nothing for them", () => {
  const { enter, giveAll } = bench();
  for (const name of ["b1", "b2", "b3"]) enter(name, { account: "b" });
  const gone = ["a1", "a2", "a3"].map((name) => enter(name, { account: "a" }));
  for (const caller of gone) caller.abort();
  enter("a4", { account: "a" });
  expect(giveAll()).toEqual(["b1", "a4", "b2", "b3"]);
});

test("too many of one account, or of one class, are refused, and the others are not", () => {
  const { enter } = bench(CLASSES.map((each) => ({ ...each, depthMax: 3 })));
  enter("a1", { account: "a", depthMax: 1 });
  const error = refusal(() => enter("a2", { account: "a", depthMax: 1 }));
  expect(error.row).toBe("queue_full");
  expect(error.kind).toMatchObject({ status: 503, code: "server_is_overloaded" });
  expect(error.retryAfterMs).toBe(1_000);
  enter("b");
  enter("c");
  expect(refusal(() => enter("d")).row).toBe("queue_full");
  enter("e", { priority: "highest" });
});

/** Ten slots, each call takes 10 s: one a second goes. */
function paced() {
  const made = bench();
  const open = Array.from({ length: 10 }, (_, index) => made.queue.pass("best_effort", index));
  made.pass(10_000);
  for (const turn of open) turn.done();
  for (let slot = 0; slot < 10; slot++) made.queue.pass("best_effort", slot);
  return made;
}

test("who cannot be served in time is told so at once, and when to come again", () => {
  const { enter, queue } = paced();
  for (let call = 0; call <= 150; call++) enter(`a${call}`, { account: "a", priority: "best_effort" });
  const error = refusal(() => enter("late", { account: "a", priority: "best_effort" }));
  expect(error.row).toBe("queue_full");
  expect(error.message).toContain("would not be served within 120 s. Try again in 31 s.");
  // Of another account, or in a higher class, there is hardly anybody before him.
  enter("light", { priority: "best_effort" });
  enter("paid", { priority: "high" });
  expect(queue.report().find(({ priority }) => priority === "best_effort")).toMatchObject({ depth: 152, shed: 1 });
});

test("nobody is refused for a pace that nobody has measured", () => {
  const { enter, queue } = bench();
  for (let call = 0; call < 1_000; call++) enter(`a${call}`, { account: "a" });
  expect(queue.size).toBe(1_000);
});

test("each class waits as long as it may, watched by one timer", () => {
  const { enter, failed, pass, timers, timerSet } = bench();
  for (const priority of IDS) for (const turn of [1, 2, 3]) enter(`${priority}${turn}`, { priority });
  pass(29_999);
  expect(failed).toEqual([]);
  pass(90_001);
  expect(failed.map(({ name, atMs }) => [name, atMs])).toEqual(
    CLASSES.flatMap(({ id, waitMsMax }) => [1, 2, 3].map((turn) => [`${id}${turn}`, waitMsMax])),
  );
  expect(failed.map(({ error }) => rowOf(error))).toEqual(Array(12).fill("queue_timeout"));
  expect(timers()).toBeLessThanOrEqual(6);
  expect(timerSet()).toBe(false);
});

test("an empty line leaves no timer running", () => {
  const { enter, giveAll, timerSet } = bench();
  const caller = enter("a");
  enter("b");
  expect(timerSet()).toBe(true);
  caller.abort();
  giveAll();
  expect(timerSet()).toBe(false);
});

test("a caller who hung up before he came is not let in, and one who hangs up later is told his own reason", () => {
  const { enter, failed, queue } = bench();
  const caller = enter("a");
  caller.abort("gone");
  expect(failed).toMatchObject([{ name: "a", error: "gone" }]);
  const signal = AbortSignal.abort("gone");
  const none = () => {};
  const ask = { accountId: "a", priority: "high", weight: 1, accountDepthMax: null, signal, go: none, fail: none };
  expect(() => queue.enter(ask)).toThrow("gone");
  expect(queue.size).toBe(0);
});

test("everybody can be sent away at once", () => {
  const { enter, failed, queue } = bench();
  for (const priority of IDS) enter(priority, { priority });
  queue.fail("closed");
  expect(failed.map(({ error }) => error)).toEqual(IDS.map(() => "closed"));
  expect(queue.size).toBe(0);
});

test("the report counts by class, with the waits of the last minutes", () => {
  const { enter, queue, pass, turns } = bench();
  queue.pass("high", 0);
  enter("a");
  pass(2_000);
  queue.give(7);
  expect(turns[0]).toMatchObject({ given: 7, waitedMs: 2_000 });
  enter("b").abort();
  enter("c");
  pass(60_000);
  const high = () => queue.report()[2];
  expect(high()).toEqual({
    priority: "high",
    depth: 0,
    wait_ms_p50: 2_000,
    wait_ms_p99: 2_000,
    admitted: 2,
    shed: 0,
    expired: 1,
    cancelled: 1,
  });
  pass(300_000);
  expect(high()).toMatchObject({ admitted: 2, wait_ms_p50: null, wait_ms_p99: null });
});

/** What the queue should do, written as plainly as it can be: look at everybody, every time. */
function createModel() {
  const owed = new Map(IDS.map((id) => [id, 0]));
  const clocks = new Map(IDS.map((id) => [id, { now: 0, orders: 0 }]));
  const accounts = new Map<string, { start: number; finish: number; order: number }>();
  let line: { name: string; account: string; priority: string; weight: number; since: number }[] = [];
  const of = (priority: string) => line.filter((each) => each.priority === priority);
  const keyOf = (each: { account: string; priority: string }) => `${each.priority} ${each.account}`;

  function drop(name: string): void {
    const priority = line.find((each) => each.name === name)!.priority;
    line = line.filter((each) => each.name !== name);
    if (of(priority).length > 0) return;
    owed.set(priority, 0);
    clocks.get(priority)!.now = 0;
    for (const key of accounts.keys()) if (key.startsWith(`${priority} `)) accounts.delete(key);
  }

  return {
    waiting: () => line.map((each) => each.name),
    drop,
    enter(name: string, account: string, priority: string, weight: number, since: number) {
      const clock = clocks.get(priority)!;
      const entry = { name, account, priority, weight, since };
      const known = accounts.get(keyOf(entry)) ?? { start: 0, finish: 0, order: 0 };
      accounts.set(keyOf(entry), known);
      if (!of(priority).some((each) => each.account === account)) {
        known.start = Math.max(clock.now, known.finish);
        known.order = clock.orders++;
      }
      line.push(entry);
    },
    give(): string {
      const waiting = CLASSES.filter(({ id }) => of(id).length > 0);
      for (const { id, floor } of waiting) owed.set(id, owed.get(id)! + floor);
      const due = waiting.filter(({ id }) => owed.get(id)! >= 1 - 1e-9);
      due.sort((a, b) => owed.get(b.id)! - owed.get(a.id)!);
      const { id } = due[0] ?? waiting[0]!;
      owed.set(id, Math.max(0, owed.get(id)! - 1));
      const ranked = of(id).toSorted((a, b) => {
        const [one, other] = [accounts.get(keyOf(a))!, accounts.get(keyOf(b))!];
        return one.start - other.start || one.order - other.order;
      });
      const first = ranked[0]!;
      const account = accounts.get(keyOf(first))!;
      const clock = clocks.get(id)!;
      clock.now = account.start;
      const weight = of(id).findLast((each) => each.account === first.account)!.weight;
      account.finish = account.start + 1 / weight;
      account.start = account.finish;
      account.order = clock.orders++;
      drop(first.name);
      return first.name;
    },
    expired: (nowMs: number) =>
      CLASSES.flatMap(({ id, waitMsMax }) => of(id).filter((each) => each.since + waitMsMax <= nowMs)),
  };
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("enter" as const),
      account: fc.constantFrom("a", "b", "c", "d"),
      priority: fc.constantFrom(...IDS),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("give" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("hang up" as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 40_000 }) }) },
);
const WEIGHTS: Record<string, number> = { a: 1, b: 2, c: 0.5, d: 1 };

test("it does what a plain model does, step for step: nobody goes twice, or after he left or was sent away", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const { queue, enter, went, failed, pass } = bench();
      const model = createModel();
      const callers = new Map<string, AbortController>();
      let nowMs = 0;
      for (const [index, each] of steps.entries()) {
        if (each.kind === "enter") {
          const { account, priority } = each;
          const weight = WEIGHTS[account]!;
          callers.set(`${index}`, enter(`${index}`, { account, priority, weight }));
          model.enter(`${index}`, account, priority, weight, nowMs);
        } else if (each.kind === "give") {
          if (queue.size === 0) continue;
          queue.give(index);
          expect(went.at(-1)).toBe(model.give());
        } else if (each.kind === "hang up") {
          const name = model.waiting()[each.which];
          if (name === undefined) continue;
          callers.get(name)!.abort();
          model.drop(name);
        } else {
          nowMs += each.ms;
          pass(each.ms);
          for (const { name } of model.expired(nowMs)) model.drop(name);
        }
        expect(queue.size).toBe(model.waiting().length);
      }
      const ended = [...went, ...failed.map(({ name }) => name), ...model.waiting()];
      expect(ended.sort()).toEqual([...callers.keys()].sort());
    }),
    { numRuns: 500 },
  );
});

test("nobody starves: each class that waits gets its floor in any stretch of time", () => {
  const start = fc.array(fc.boolean(), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(start, fc.nat(60), fc.integer({ min: 1, max: 400 }), (waiting, before, count) => {
      const { queue, enter, went } = bench();
      let names = 0;
      const fill = (ids: readonly string[]) => {
        for (const priority of ids) {
          const { depth } = queue.report().find((each) => each.priority === priority)!;
          for (let more = depth; more < 3; more++) enter(`${priority} ${names++}`, { priority });
        }
      };
      // Some classes come first, then all of them wait throughout.
      const early = IDS.filter((_, index) => waiting[index]);
      for (let given = 0; given < before && early.length > 0; given++) {
        fill(early);
        queue.give(0);
      }
      const from = went.length;
      for (let given = 0; given < count; given++) {
        fill(IDS);
        queue.give(0);
      }
      const stretch = went.slice(from).map((name) => name.split(" ")[0]);
      for (const { id, floor } of CLASSES) {
        const got = stretch.filter((each) => each === id).length;
        expect(got).toBeGreaterThanOrEqual(Math.floor(count * floor) - 1);
        // And no more than that, so that the order of the classes is strict apart from it.
        if (id === "high" || id === "best_effort") expect(got).toBeLessThanOrEqual(Math.ceil(count * floor) + 1);
        if (id === "highest") expect(got).toBe(0);
      }
    }),
    { numRuns: 200 },
  );
}, 30_000);

test("backlogged accounts differ by at most one call each, by weight, over any stretch of time", () => {
  const weights = fc.array(fc.constantFrom(0.5, 1, 2, 3, 10), { minLength: 2, maxLength: 6 });
  fc.assert(
    fc.property(weights, fc.nat(100), fc.integer({ min: 1, max: 200 }), (accounts, before, count) => {
      const { queue, enter, went } = bench();
      const inLine = accounts.map(() => 0);
      let names = 0;
      const giveOne = () => {
        for (const [account, weight] of accounts.entries()) {
          for (; inLine[account]! < 2; inLine[account]!++)
            enter(`${account} ${names++}`, { account: `${account}`, weight });
        }
        queue.give(0);
        inLine[Number.parseInt(went.at(-1)!, 10)]!--;
      };
      for (let given = 0; given < before; given++) giveOne();
      for (let given = 0; given < count; given++) giveOne();
      const stretch = went.slice(before);
      const served = (account: number) => stretch.filter((name) => name.startsWith(`${account} `)).length;
      for (const [one, weight] of accounts.entries()) {
        for (const [other, otherWeight] of accounts.entries()) {
          const apart = served(one) / weight - served(other) / otherWeight;
          expect(Math.abs(apart)).toBeLessThanOrEqual(1 / weight + 1 / otherWeight + 1e-9);
        }
      }
    }),
    { numRuns: 150 },
  );
});

test("calls of one account go in the order in which they came", () => {
  const call = fc.record({ account: fc.constantFrom("a", "b", "c"), priority: fc.constantFrom("high", "best_effort") });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const { enter, giveAll } = bench();
      for (const [index, { account, priority }] of calls.entries()) {
        enter(`${account} ${priority} ${index}`, { account, priority });
      }
      const lanes = Map.groupBy(giveAll(), (name) => name.slice(0, name.lastIndexOf(" ")));
      for (const lane of lanes.values()) {
        const numbers = lane.map((name) => Number(name.split(" ")[2]));
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      }
    }),
  );
});
