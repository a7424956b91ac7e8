import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Reservation } from "./lease.ts";
import { createLimits, type Limits, type Refused, type Rules } from "./limits.ts";

const MORNING = Date.UTC(2026, 10, 21, 8);
const DAY_MS = 86_400_000;

const rules = (more: Partial<Rules> = {}): Rules => ({
  accountId: "a",
  keyId: "k",
  units: 1,
  requestsPerDay: null,
  keyRequestsPerDay: null,
  requestsPerMinute: null,
  concurrencyMax: null,
  ...more,
});

/** Limits with a clock and a ledger of the test's own. */
function setUp(at = MORNING, lastDay = "") {
  const clock = { now: at, monotonic: 0 };
  const ledger = new Map<string, number>();
  const units = (id: string, day: string) => ledger.get(`${id} ${day}`) ?? 0;
  const options = { settled: units, settledByKey: units, now: () => clock.now, monotonic: () => clock.monotonic };
  const limits = createLimits(lastDay === "" ? options : { ...options, lastDay });
  const pass = (ms: number) => {
    clock.now += ms;
    clock.monotonic += ms;
  };
  const settle = (lease: Reservation, by: Rules) => {
    for (const id of [by.accountId, by.keyId]) ledger.set(`${id} ${lease.day}`, units(id, lease.day) + lease.units);
    lease.settle();
  };
  return { clock, limits, pass, settle };
}

const isLease = (got: Reservation | Refused): got is Reservation => "day" in got;
function leaseOf(limits: Limits, by: Rules): Reservation {
  const got = limits.reserve(by);
  if (!isLease(got)) throw new Error(`refused by ${got.rule}`);
  return got;
}

test("500 at once against 60 left: exactly 60 go", () => {
  const { limits, settle } = setUp();
  const by = rules({ requestsPerDay: 100 });
  for (let call = 0; call < 40; call++) {
    const lease = leaseOf(limits, by);
    settle(lease, by);
    lease.release();
  }
  const got = Array.from({ length: 500 }, () => limits.reserve(by));
  expect(got.filter(isLease)).toHaveLength(60);
  expect(got.at(-1)).toEqual({ rule: "requestsPerDay", limit: 100, used: 100, resetMs: 16 * 3_600_000 });
});

test("a refusal takes nothing: neither the day, nor the minute, nor a place", () => {
  const { limits } = setUp();
  const by = rules({ requestsPerDay: 10, requestsPerMinute: 600, concurrencyMax: 1 });
  const lease = leaseOf(limits, by);
  const before = limits.state(by);
  for (let call = 0; call < 100; call++) expect(limits.reserve(by)).toMatchObject({ rule: "concurrency", used: 1 });
  expect(limits.state(by)).toEqual(before);
  lease.release();
  expect(limits.state(by).requestsPerDay?.remaining).toBe(10);
});

test("the first rule in the order is the one that is named", () => {
  const { limits } = setUp();
  const all = { requestsPerDay: 1, keyRequestsPerDay: 1, requestsPerMinute: 1, concurrencyMax: 1 };
  leaseOf(limits, rules(all));
  const ruleOf = (more: Partial<Rules>) => (limits.reserve(rules({ ...all, ...more })) as Refused).rule;
  expect(ruleOf({})).toBe("requestsPerDay");
  expect(ruleOf({ requestsPerDay: 2 })).toBe("keyRequestsPerDay");
  expect(ruleOf({ requestsPerDay: 2, keyRequestsPerDay: 2 })).toBe("requestsPerMinute");
  expect(ruleOf({ requestsPerDay: 2, keyRequestsPerDay: null, requestsPerMinute: null })).toBe("concurrency");
});

test("a model of weight 3 takes three of the day and one of the minute", () => {
  const { limits } = setUp();
  const by = rules({ units: 3, requestsPerDay: 10, requestsPerMinute: 60 });
  for (let call = 0; call < 3; call++) leaseOf(limits, by);
  expect(limits.state(by)).toMatchObject({ requestsPerDay: { remaining: 1 }, requestsPerMinute: { remaining: 7 } });
  expect(limits.reserve(by)).toMatchObject({ rule: "requestsPerDay", used: 9 });
  leaseOf(limits, { ...by, units: 1 });
});

test("a key's share is its own, and its account's at the same time", () => {
  const { limits } = setUp();
  const narrow = rules({ requestsPerDay: 5, keyRequestsPerDay: 2 });
  const wide = rules({ keyId: "other", requestsPerDay: 5 });
  leaseOf(limits, narrow);
  leaseOf(limits, narrow);
  expect(limits.reserve(narrow)).toMatchObject({ rule: "keyRequestsPerDay", limit: 2, used: 2 });
  for (let call = 0; call < 3; call++) leaseOf(limits, wide);
  expect(limits.reserve(wide)).toMatchObject({ rule: "requestsPerDay", used: 5 });
  expect(limits.state(narrow).requestsPerDay).toMatchObject({ limit: 5, remaining: 0 });
});

test("what comes to nothing gives its unit back, what was settled does not, and neither twice", () => {
  const { limits, settle } = setUp();
  const by = rules({ requestsPerDay: 3 });
  const [voided, settled] = [leaseOf(limits, by), leaseOf(limits, by)];
  for (let time = 0; time < 3; time++) voided.release();
  settle(settled, by);
  expect(limits.state(by)).toMatchObject({ requestsPerDay: { remaining: 2 }, concurrency: { used: 1 } });
  for (let time = 0; time < 3; time++) settled.release();
  expect(limits.state(by)).toMatchObject({ requestsPerDay: { remaining: 2 }, concurrency: { used: 0 } });
});

test("a minute of 60: ten at once, then one a second, and not one more", () => {
  const { limits, pass } = setUp();
  const by = rules({ requestsPerMinute: 60 });
  for (let call = 0; call < 10; call++) leaseOf(limits, by);
  expect(limits.reserve(by)).toEqual({ rule: "requestsPerMinute", limit: 60, used: 60, resetMs: 1000 });
  expect(limits.state(by).requestsPerMinute).toEqual({ limit: 60, remaining: 0, resetMs: 10_000 });
  pass(999);
  expect(limits.reserve(by)).toMatchObject({ resetMs: 1 });
  pass(1);
  for (let second = 0; second < 1000; second++) {
    leaseOf(limits, by);
    expect(isLease(limits.reserve(by))).toBe(false);
    pass(1000);
  }
});

test("a minute of 5 goes every twelve seconds, and five fit into any minute", () => {
  const { limits, pass } = setUp();
  const by = rules({ requestsPerMinute: 5 });
  const went: number[] = [];
  for (let ms = 0; ms < 300_000; ms += 500) {
    if (isLease(limits.reserve(by))) went.push(ms);
    pass(500);
  }
  expect(went).toEqual(Array.from({ length: 25 }, (_, i) => i * 12_000));
});

test("a call that waits as long as it was told goes, whatever the rate", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 200 }), (requestsPerMinute, calls) => {
      const { limits, pass } = setUp();
      const by = rules({ requestsPerMinute });
      for (let call = 0; call < calls; call++) {
        const got = limits.reserve(by);
        if (isLease(got)) continue;
        expect(got.resetMs!).toBeLessThanOrEqual(60_000);
        pass(got.resetMs!);
        leaseOf(limits, by);
      }
    }),
  );
});

test("a call that was sent away is no request of the minute either", () => {
  const { limits } = setUp();
  const by = rules({ requestsPerMinute: 5, requestsPerDay: 9 });
  for (let call = 0; call < 10; call++) leaseOf(limits, by).withdraw();
  const first = leaseOf(limits, by);
  first.release();
  first.withdraw();
  expect(limits.reserve(by)).toMatchObject({ rule: "requestsPerMinute" });
  expect(limits.state(by).requestsPerDay?.remaining).toBe(9);
});

test("what began yesterday counts yesterday, and today is whole", () => {
  const { limits, pass, settle } = setUp();
  const by = rules({ requestsPerDay: 2, keyRequestsPerDay: 2 });
  const [late, later] = [leaseOf(limits, by), leaseOf(limits, by)];
  pass(DAY_MS);
  const today = [leaseOf(limits, by), leaseOf(limits, by)];
  settle(late, by);
  late.release();
  later.release();
  expect([late.day, today[0]!.day]).toEqual(["2026-11-21", "2026-11-22"]);
  expect(limits.reserve(by)).toMatchObject({ rule: "requestsPerDay", used: 2 });
  for (const lease of today) lease.release();
  expect(limits.counts()).toMatchObject({ inFlight: 0, held: 0, keys: 0 });
});

test("a lease that outlives its day does not take today's count with it", () => {
  const { limits, pass } = setUp();
  const by = rules({ keyRequestsPerDay: 1 });
  const old = leaseOf(limits, by);
  pass(DAY_MS);
  leaseOf(limits, by).release();
  leaseOf(limits, by);
  old.release();
  expect(limits.reserve(by)).toMatchObject({ rule: "keyRequestsPerDay", used: 1 });
});

test("a clock that is set back opens no day again, nor does it slow or free the minute", () => {
  const { clock, limits, pass } = setUp();
  const by = rules({ requestsPerDay: 3, requestsPerMinute: 60 });
  const leases = [leaseOf(limits, by), leaseOf(limits, by), leaseOf(limits, by)];
  clock.now -= 3 * DAY_MS;
  expect(limits.reserve(by)).toMatchObject({ rule: "requestsPerDay", used: 3, resetMs: 3 * DAY_MS + 16 * 3_600_000 });
  expect(limits.state(by).requestsPerMinute).toMatchObject({ remaining: 7 });
  leases[0]!.release();
  expect(leaseOf(limits, by).day).toBe("2026-11-21");
  pass(4 * DAY_MS);
  expect(leaseOf(limits, by).day).toBe("2026-11-22");
});

test("a start with a clock behind the ledger goes on with the ledger's day", () => {
  const { limits } = setUp(MORNING, "2026-11-23");
  expect(leaseOf(limits, rules()).day).toBe("2026-11-23");
});

test("accounts and keys that are idle are forgotten", () => {
  const { limits, pass } = setUp();
  const kept = rules({ accountId: "kept", requestsPerMinute: 5 });
  leaseOf(limits, kept);
  for (let one = 0; one < 100_000; one++) {
    const by = rules({ accountId: `a${one}`, keyId: `k${one}`, requestsPerMinute: 600, requestsPerDay: 10 });
    leaseOf(limits, by).release();
    pass(1);
  }
  expect(limits.counts()).toMatchObject({ keys: 1, inFlight: 1, held: 1 });
  expect(limits.counts().accounts).toBeLessThan(2_100);
});

// The law, against an independent model of it that keeps every call and counts anew each time.

interface Plan {
  perDay: number | null;
  perMinute: number | null;
  concurrency: number | null;
  keyPerDay: (number | null)[];
}
interface Call {
  account: number;
  key: number;
  day: string;
  units: number;
  state: "running" | "settled" | "voided";
  counted: boolean;
}

const cap = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: null });
const planOf: fc.Arbitrary<Plan> = fc.record({
  perDay: cap(12),
  perMinute: cap(120),
  concurrency: cap(5),
  keyPerDay: fc.tuple(cap(6), cap(6)),
});
const who = { account: fc.nat(2), key: fc.nat(1) };
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("arrive" as const), ...who, units: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("finish" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("void" as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 20_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("jump" as const), ms: fc.integer({ min: -2 * DAY_MS, max: DAY_MS }) }),
  },
);

/** GCRA told differently: a bucket of credit in calls, which fills at an even pace; rates are per minute. */
function createBucket(perMinute: number) {
  const size = Math.max(1, perMinute / 6);
  let credit = size;
  let at = 0;
  return {
    at(ms: number) {
      credit = Math.min(size, credit + ((ms - at) * perMinute) / 60_000);
      at = ms;
      return credit > 1 - 1e-6;
    },
    take: () => {
      credit -= 1;
    },
  };
}

test("nobody passes a cap and nobody below all caps is refused, whatever happens in whatever order", () => {
  fc.assert(
    fc.property(fc.tuple(planOf, planOf, planOf), fc.array(step, { maxLength: 120 }), (plans, steps) => {
      const { clock, limits, pass, settle } = setUp();
      const calls: { call: Call; lease: Reservation; by: Rules }[] = [];
      const buckets = plans.map(({ perMinute }) => (perMinute === null ? null : createBucket(perMinute)));
      let latest = 0; // the newest moment that a call came in
      for (const each of steps) {
        const running = calls.filter(({ call }) => call.state === "running");
        const picked = "which" in each && running.length > 0 ? running[each.which % running.length]! : null;
        if (each.kind === "pass") pass(each.ms);
        if (each.kind === "jump") clock.now += each.ms;
        if (each.kind === "settle" && picked && !picked.call.counted) {
          settle(picked.lease, picked.by);
          picked.call.counted = true;
        }
        if (each.kind === "finish" && picked?.call.counted) {
          picked.lease.release();
          picked.call.state = "settled";
        }
        if (each.kind === "void" && picked && !picked.call.counted) {
          picked.lease.release();
          picked.call.state = "voided";
        }
        if (each.kind !== "arrive") continue;

        const plan = plans[each.account]!;
        latest = Math.max(latest, clock.now);
        const day = new Date(latest).toISOString().slice(0, 10);
        const counted = calls.filter(({ call }) => call.account === each.account && call.state !== "voided");
        const sum = (of: typeof calls) =>
          of.filter(({ call }) => call.day === day).reduce((total, { call }) => total + call.units, 0);
        const ofKey = counted.filter(({ call }) => call.key === each.key);
        const keyPerDay = plan.keyPerDay[each.key]!;
        const bucket = buckets[each.account]!;
        const minuteOk = bucket === null || bucket.at(clock.monotonic);
        const expected =
          plan.perDay !== null && sum(counted) + each.units > plan.perDay
            ? "requestsPerDay"
            : keyPerDay !== null && sum(ofKey) + each.units > keyPerDay
              ? "keyRequestsPerDay"
              : !minuteOk
                ? "requestsPerMinute"
                : plan.concurrency !== null &&
                    counted.filter(({ call }) => call.state === "running").length >= plan.concurrency
                  ? "concurrency"
                  : null;

        const by = rules({
          accountId: `a${each.account}`,
          keyId: `k${each.account}.${each.key}`,
          units: each.units,
          requestsPerDay: plan.perDay,
          keyRequestsPerDay: keyPerDay,
          requestsPerMinute: plan.perMinute,
          concurrencyMax: plan.concurrency,
        });
        const got = limits.reserve(by);
        expect(isLease(got) ? null : got.rule).toBe(expected);
        if (!isLease(got)) continue;
        expect(got.day).toBe(day);
        bucket?.take();
        const { account, key, units } = each;
        calls.push({
          call: { account, key, day, units, state: "running", counted: false },
          lease: got,
          by,
        });
      }
      for (const { lease } of calls) lease.release();
      expect(limits.counts()).toMatchObject({ inFlight: 0, held: 0, keys: 0 });
    }),
    { numRuns: 3000 },
  );
});
