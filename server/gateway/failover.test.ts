import { expect, test } from "bun:test";
import { ApiError, RelayedError } from "@oxbow/contract";
import { createQueues } from "../admission/queues.ts";
import { createEngine } from "../engines/engines.ts";
import { type Engine, EngineStatus, EngineUnreachable, type Outcome, type Signs } from "../fleet/fleet.ts";
import { createRetryBudget, withFailover } from "./failover.ts";
import { HangUp } from "./hang-up.ts";
import { createPulse } from "./pulse.ts";
import { Watch } from "./silence.ts";

const engineOf = (id: string, simulated = false) =>
  createEngine({ id, kind: "k", features: [], simulated, slots: 1, address: { baseUrl: "http://127.0.0.1:1/v1" } });
const refused = () => new EngineUnreachable("e", Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
const cut = () => new EngineUnreachable("e", Object.assign(new Error("reset"), { code: "ECONNRESET" }));
const relayed = (status: number, headers = {}) =>
  new RelayedError(status, { error: { message: "no", type: "server_error", param: null, code: null } }, headers);
const page = (status: number) => new ApiError("engine_failed", "no", { cause: new EngineStatus(status) });
const broken = () => new ApiError("engine_failed", "no", { cause: Object.assign(new Error(), { code: "ECONNRESET" }) });
const late = () => new ApiError("engine_timeout", "late");

/** A call on engine `a`, with the others free or not; each engine answers with what it is given in turn, else with its id. */
async function callOn(
  script: Record<string, unknown[]>,
  {
    free = ["b"],
    percent = 10,
    simulated = false,
    waitMsMax = 1_000,
    silentMsMax = 60_000,
    wholeMsMax = 60_000,
    waits = createPulse(1),
    streams = true,
    /** How each engine stands while a call waits for it. */
    signs = {} as Record<string, () => Signs>,
    /** Ends the call. */
    signal = new AbortController().signal,
    busyMsMax = 5_000,
    shared = undefined as boolean | undefined,
  } = {},
) {
  const engines = new Map(["a", "b", "c"].map((id) => [id, engineOf(id, simulated)]));
  const open = new Set(["a", ...free]);
  const clock = { now: 0 };
  const reports: [string, Outcome["kind"]][] = [];
  const asked: string[] = [];
  let retries = 0;
  const onRetry = () => retries++;
  const queues = createQueues<Engine, Outcome>({
    place: (_, { not }) => {
      const id = [...open].sort().find((each) => !not?.has(each));
      if (id === undefined) return null;
      open.delete(id);
      const release = () => {
        open.add(id);
        queueMicrotask(() => queues.pump("m"));
      };
      return { engine: engines.get(id)!, release, report: ({ kind }: Outcome) => void reports.push([id, kind]) };
    },
    classes: [{ id: "high", floor: 0, depthMax: 8, waitMsMax }],
    now: () => clock.now,
  });
  const seat = await queues.enter("m", { accountId: "x", priority: "high", weight: 1, accountDepthMax: null }, signal);
  const outcome = await withFailover(
    {
      ...{
        seat,
        budget: createRetryBudget(percent),
        hangUp: new HangUp(signal),
        waits,
        silentMsMax,
        wholeMsMax: streams ? null : wholeMsMax,
        busyMsMax,
        onRetry,
      },
      shared: shared ?? free.length > 0,
      now: () => clock.now,
      signs: ({ id }) => signs[id]?.() ?? { lost: false, quietMs: Number.POSITIVE_INFINITY },
    },
    async (engine, signal) => {
      asked.push(engine.id);
      clock.now += 300;
      const next = script[engine.id]?.shift();
      if (next === "silence") {
        return new Promise<string>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      }
      if (next instanceof Error) throw next;
      return engine.id;
    },
  ).catch((error) => error);
  return { outcome, asked, reports, retries, seat };
}

test.each([
  ["nobody listens", refused],
  ["the connection is cut", cut],
  ["the connection is cut while a whole answer comes", broken],
  ["502", () => relayed(502)],
  ["502 with a page for people", () => page(502)],
  ["504", () => relayed(504)],
  ["503", () => relayed(503)],
  ["429", () => relayed(429)],
  ["silence", late],
])("%s: the call goes to another engine, once", async (_, failure) => {
  const { outcome, asked, retries, seat } = await callOn({ a: [failure()] });
  expect([outcome, seat.engine.id, retries]).toEqual(["b", "b", 1]);
  expect(asked).toEqual(["a", "b"]);
});

test.each([
  ["500", () => relayed(500), "failed"],
  ["an answer that is none", () => new ApiError("engine_failed", "garbage"), "failed"],
  ["400", () => relayed(400), "ok"],
] as const)("%s is told, not repeated", async (_, failure, kind) => {
  const error = failure();
  const { outcome, asked, reports } = await callOn({ a: [error] });
  expect(outcome).toBe(error);
  expect(asked).toEqual(["a"]);
  expect(reports).toEqual([["a", kind]]);
});

test("a second failure is told: nothing goes round", async () => {
  const { outcome, asked } = await callOn({ a: [relayed(502)], b: [relayed(502)] }, { free: ["b", "c"] });
  expect(outcome).toMatchObject({ status: 502 });
  expect(asked).toEqual(["a", "b"]);
});

test("beyond the budget a failure is told, and what may wait, waits", async () => {
  expect((await callOn({ a: [relayed(502)] }, { percent: 0 })).outcome).toMatchObject({ status: 502 });
  const { outcome, asked } = await callOn({ a: [relayed(429)] }, { percent: 0, free: [] });
  expect([outcome, asked]).toEqual(["a", ["a", "a"]]);
});

test("the budget is a tenth of the calls, with a little saved for quiet times", () => {
  const budget = createRetryBudget(10);
  const spendAll = () => {
    let spent = 0;
    for (; budget.left(); spent++) budget.spend();
    return spent;
  };
  expect(spendAll()).toBe(10);
  for (let call = 0; call < 55; call++) budget.earn();
  expect(spendAll()).toBe(5);
  for (let call = 0; call < 10_000; call++) budget.earn();
  expect(spendAll()).toBe(10);
});

test("alone, an engine that takes no more is asked again for a while; then we say so, and when to try again", async () => {
  const later = await callOn({ a: [relayed(429), relayed(503)] }, { free: [] });
  expect([later.outcome, later.asked]).toEqual(["a", ["a", "a", "a"]]);
  const always = () => ({ a: Array.from({ length: 99 }, () => relayed(429)) });
  const never = await callOn(always(), { free: [], busyMsMax: 1_000, waitMsMax: 30_000 });
  expect(never.outcome).toMatchObject({ row: "queue_timeout", retryAfterMs: 1_000 });
  expect(never.asked).toHaveLength(5); // 300 ms each: the last one a second after the first had said so
  const byClass = await callOn(always(), { free: [], busyMsMax: 30_000, waitMsMax: 1_000 });
  expect(byClass.outcome).toMatchObject({ row: "queue_timeout", retryAfterMs: 1_000 });
  expect(byClass.asked).toHaveLength(4);
});

test("one that says it will take longer is not waited for, unless another one may take the call meanwhile", async () => {
  const told = (seconds: number) => relayed(429, { "retry-after": String(seconds) });
  const alone = await callOn({ a: [told(20)] }, { free: [], waitMsMax: 30_000 });
  expect(alone.asked).toEqual(["a"]);
  expect(alone.outcome).toMatchObject({ row: "queue_timeout", retryAfterMs: 20_000 });
  const soon = await callOn({ a: [told(1)] }, { free: [] });
  expect(soon.outcome).toBe("a");
  const hour = await callOn({ a: [told(3_600)] }, { free: [] });
  expect(hour.outcome.retryAfterMs).toBe(60_000);
  // The other one is full at the moment: its slot is as good as any.
  const shared = await callOn({ a: [told(20)] }, { free: [], shared: true });
  expect(shared.outcome).toBe("a");
});

test("a worker that still loads is waited for as long as the class may wait", async () => {
  const loading = () => new ApiError("model_not_ready", "loading", { retryAfterMs: 20_000 });
  const { outcome, asked } = await callOn({ a: [loading(), loading()] }, { free: [], busyMsMax: 0 });
  expect([outcome, asked]).toEqual(["a", ["a", "a", "a"]]);
});

test("alone, one that was cut off is asked once more, one that nobody listens at for as long as the class may wait", async () => {
  const once = await callOn({ a: [cut(), cut()] }, { free: [] });
  expect(once.outcome).toMatchObject({ row: "engine_failed" });
  expect(once.asked).toEqual(["a", "a"]);
  const back = await callOn({ a: [refused(), refused()] }, { free: [] });
  expect(back.outcome).toBe("a");
});

test("one that does not begin in time is hung up on, and another one asked", async () => {
  const { outcome, asked, reports } = await callOn({ a: ["silence"] }, { silentMsMax: 20 });
  expect([outcome, asked]).toEqual(["b", ["a", "b"]]);
  expect(reports).toEqual([
    ["a", "silent"],
    ["b", "ok"],
  ]);
});

test("for a whole answer, an engine without a sign of life is left for another one, and told of", async () => {
  const { outcome, asked, reports } = await callOn({ a: ["silence"] }, { silentMsMax: 20, streams: false });
  expect([outcome, asked]).toEqual(["b", ["a", "b"]]);
  expect(reports).toEqual([
    ["a", "silent"],
    ["b", "ok"],
  ]);
});

test("for a whole answer, one that works for others is waited for, and so is one that is alone", async () => {
  for (const { quietMs = 1_000, ...more } of [{ quietMs: 0 }, { free: [] }, { percent: 0 }]) {
    const over = new AbortController();
    let looks = 0;
    const signs = {
      a: () => {
        if (++looks === 5) over.abort(new Error("hung up"));
        return { lost: false, quietMs };
      },
    };
    const options = { silentMsMax: 5, streams: false, ...more, signs, signal: over.signal };
    const { outcome, asked, reports } = await callOn({ a: ["silence"] }, options);
    expect([outcome.message, asked, reports]).toEqual(["hung up", ["a"], []]);
  }
});

test("a whole answer has one deadline, however many engines have had the call", async () => {
  let clock = 0;
  const waits = createPulse(1, () => clock++);
  const limits = { silentMsMax: 400, wholeMsMax: 1_000, streams: false };
  const { outcome, asked } = await callOn({ a: ["silence"], b: ["silence"] }, { ...limits, waits });
  expect([outcome.row, asked]).toEqual(["engine_timeout", ["a", "b"]]);
  expect(clock).toBeWithin(1_000, 1_010);
});

test.each([true, false])("one that is lost is left before its time is over (as a stream: %p)", async (streams) => {
  const signs = { a: () => ({ lost: true, quietMs: 0 }) };
  const { outcome, asked, reports } = await callOn({ a: ["silence"] }, { streams, signs });
  expect([outcome, asked]).toEqual(["b", ["a", "b"]]);
  expect(reports).toEqual([["b", "ok"]]);
});

test("when too many have left a lost engine already, who waits for it stands in line again, once it was silent for a while", () => {
  const over = (more: Partial<{ lost: boolean; quietMs: number; mayWait: boolean }>, waitedMs: number) => {
    const { lost = true, quietMs = 60_000, mayWait = true } = more;
    const hangUp = new HangUp(new AbortController().signal);
    const patience = { silentMsMax: 60_000, wholeMsMax: null, signs: () => ({ lost, quietMs }) };
    const tries = { spentMs: 0, elsewhere: () => false, mayWait: () => mayWait };
    new Watch(0, engineOf("a"), patience, tries, hangUp).onTick(waitedMs);
    return hangUp.signal.aborted ? hangUp.signal.reason : null;
  };
  expect(over({}, 5_000)).toBeInstanceOf(EngineUnreachable);
  expect(over({}, 4_900)).toBeNull();
  expect(over({ quietMs: 4_900 }, 9_000)).toBeNull();
  expect(over({ lost: false }, 9_000)).toBeNull();
  expect(over({ mayWait: false }, 9_000)).toBeNull();
});

test("failures that a simulator makes up on order reach who ordered them, and say nothing of it", async () => {
  const { outcome, asked, reports } = await callOn({ a: [relayed(503)] }, { simulated: true });
  expect(outcome).toMatchObject({ status: 503 });
  expect([asked, reports]).toEqual([["a"], []]);
});
