import { expect, test } from "bun:test";
import { ApiError, type ErrorName, retryHeaders } from "@oxbow/contract";
import fc from "fast-check";
import type { Ask, Ticket } from "./admission.ts";
import { admissionTo, askOf, callerOf, LARGE, PLANS, SMALL } from "./testing.ts";

const open = { ...callerOf({ plan: { id: "whole", version: 2 } }) };
const rowOf = (error: unknown) => (error instanceof ApiError ? error.row : String(error));

/** A premise of most tests: it is let in. */
type Setup = ReturnType<typeof admissionTo>;
const admit = ({ admission }: Setup, more: Partial<Ask> = {}) => admission.admit(askOf(more));
const refusal = (setup: Setup, more: Partial<Ask> = {}) =>
  admit(setup, more).then(
    () => "let in",
    (error: unknown) => rowOf(error),
  );

test("the first rule that is violated is the one that is named", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ overrides: { requestsPerDay: 1, requestsPerMinute: 1, concurrencyMax: 1 } });
  await admit(setup, { caller });
  const worst = { caller, model: LARGE, inputTokens: 9999, outputTokens: 9, choices: 9999 };
  expect(await refusal(setup, worst)).toBe("model_not_allowed");
  expect(await refusal(setup, { ...worst, model: SMALL })).toBe("context_length_exceeded");
  expect(await refusal(setup, { ...worst, model: SMALL, inputTokens: 9 })).toBe("output_limit_exceeded");
  expect(await refusal(setup, { caller })).toBe("insufficient_quota");
  const more = (overrides: object) => ({ caller: { ...caller, overrides: { ...caller.overrides, ...overrides } } });
  expect(await refusal(setup, more({ requestsPerDay: null }))).toBe("rate_limit_exceeded");
  expect(await refusal(setup, more({ requestsPerDay: null, requestsPerMinute: null }))).toBe("rate_limit_exceeded");
  expect(await refusal(setup, { caller: open })).toBe("let in");
});

test("500 at once against 60 left: exactly 60 go, and each of the others hears when", async () => {
  const setup = admissionTo(1000);
  const caller = callerOf({ overrides: { requestsPerMinute: null, concurrencyMax: null } });
  const all = await Promise.all(
    Array.from({ length: 500 }, () => admit(setup, { caller }).catch((error: ApiError) => error)),
  );
  const refused = all.filter((each) => each instanceof ApiError);
  expect(refused).toHaveLength(440);
  for (const error of refused) expect(retryHeaders(error)).toEqual({ "x-should-retry": "false" });
  expect(setup.admission.headers(caller)).toMatchObject({ "x-ratelimit-remaining-requests-day": "0" });
  for (const each of all) if (!(each instanceof ApiError)) setup.settle(each, caller);
  expect(setup.admission.counts()).toMatchObject({ inFlight: 0, held: 0, waiting: 0 });
  expect(await refusal(setup, { caller })).toBe("insufficient_quota");
});

test("the day's unit is kept when it was settled, and comes back when not", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ overrides: { requestsPerDay: 3, requestsPerMinute: null, concurrencyMax: 2 } });
  const left = () => setup.admission.headers(caller)["x-ratelimit-remaining-requests-day"];
  const [one, two] = [await admit(setup, { caller }), await admit(setup, { caller })];
  expect(left()).toBe("1");
  one.close();
  one.close();
  setup.settle(two, caller);
  two.close();
  expect(left()).toBe("2");
  expect([one.day, one.units, setup.free()]).toEqual(["2026-11-21", 1, 9]);
});

test("a model's weight is what a call counts", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ overrides: { requestsPerDay: 5, requestsPerMinute: null, concurrencyMax: null } });
  const heavy = { caller, model: { ...SMALL, weight: 3 } };
  expect((await admit(setup, heavy)).units).toBe(3);
  expect(await refusal(setup, heavy)).toBe("insufficient_quota");
  await admit(setup, { caller });
});

test("a trial has all models until it ends, and the plan's numbers", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ trialEndsAt: setup.clock.now + 1 });
  const ticket = await admit(setup, { caller, model: LARGE });
  expect(await refusal(setup, { caller, model: LARGE })).toBe("rate_limit_exceeded");
  ticket.close();
  setup.clock.now += 1;
  expect(await refusal(setup, { caller, model: LARGE })).toBe("model_not_allowed");
});

test("a key that was narrowed has less than its account, also on a trial, and never more", async () => {
  const setup = admissionTo(9);
  const trial = { trialEndsAt: setup.clock.now + 1, overrides: { requestsPerMinute: null, concurrencyMax: null } };
  const narrow = callerOf({ ...trial, keyModels: [SMALL.id], keyRequestsPerDay: 1 });
  expect(await refusal(setup, { caller: narrow, model: LARGE })).toBe("model_not_allowed");
  await admit(setup, { caller: narrow });
  expect(await refusal(setup, { caller: narrow })).toBe("insufficient_quota");
  await admit(setup, { caller: callerOf({ ...trial, keyId: "other" }), model: LARGE });
  const wide = callerOf({ keyModels: [LARGE.id], keyRequestsPerDay: 1000 });
  expect(await refusal(setup, { caller: wide, model: LARGE })).toBe("model_not_allowed");
});

test("new plans hold from the next call on, without a call that runs noticing", async () => {
  let plans = PLANS;
  const setup = admissionTo(9, { plans: () => plans });
  const ticket = await admit(setup);
  plans = PLANS.map((plan) => ({ ...plan, concurrencyMax: 2, requestsPerMinute: null }));
  await admit(setup);
  expect(await refusal(setup)).toBe("rate_limit_exceeded");
  ticket.close();
  await admit(setup);
});

test("prompts are counted only where a bound of their length decides nothing", async () => {
  const setup = admissionTo(9);
  let counts = 0;
  const counting = (tokens: number) => async () => {
    counts++;
    return tokens;
  };
  const caller = callerOf({ overrides: { requestsPerMinute: null, concurrencyMax: null } });
  await admit(setup, { caller, inputTokens: 2000, countTokens: counting(1) });
  expect(counts).toBe(0);
  await admit(setup, { caller, inputTokens: 2001, countTokens: counting(2000) });
  expect(counts).toBe(1);
  expect(await refusal(setup, { caller, inputTokens: 2001, countTokens: counting(2001) })).toBe(
    "context_length_exceeded",
  );
  expect(counts).toBe(2);
  await admit(setup, { caller: open, inputTokens: 1e9, countTokens: counting(1e9) });
  expect(counts).toBe(2);
});

test("a prompt that cannot be counted is not let in, and holds nothing", async () => {
  const setup = admissionTo(9);
  const failing = () => Promise.reject(new ApiError("engine_failed", "gone"));
  expect(await refusal(setup, { inputTokens: 9999, countTokens: failing })).toBe("engine_failed");
  const caller = new AbortController();
  const late = admit(setup, {
    inputTokens: 9999,
    signal: caller.signal,
    countTokens: async () => {
      caller.abort(new Error("hung up"));
      return 1;
    },
  });
  expect(await late.catch((error: Error) => error.message)).toBe("hung up");
  expect(setup.admission.counts()).toMatchObject({ inFlight: 0, held: 0 });
});

test("an answer is as long as the plan allows, shared among the answers of a call", async () => {
  const setup = admissionTo(99);
  const overrides = { requestsPerMinute: null, concurrencyMax: null };
  const lengthOf = async (more: Partial<Ask>) => {
    const ticket = await admit(setup, { caller: callerOf({ overrides }), ...more });
    return [ticket.outputTokensMax, ticket.clamped];
  };
  expect(await lengthOf({ outputTokens: 4001 })).toEqual([4000, true]);
  expect(await lengthOf({ outputTokens: 4000 })).toEqual([4000, false]);
  expect(await lengthOf({ outputTokens: 7 })).toEqual([7, false]);
  expect(await lengthOf({ outputTokens: 4000, choices: 3 })).toEqual([1333, true]);
  expect(await lengthOf({ outputTokens: null })).toEqual([4000, false]);
  expect(await lengthOf({ outputTokens: 1e6, caller: open })).toEqual([null, false]);
  // The plan allows more than fits: an engine would refuse to be asked for it.
  expect(await lengthOf({ outputTokens: null, model: { ...SMALL, contextTokens: 4000 } })).toEqual([null, false]);
  const tight = { outputTokens: null, model: { ...SMALL, contextTokens: 5000 }, inputTokens: 1500 };
  expect(await lengthOf({ ...tight, countTokens: async () => 1000 })).toEqual([4000, false]);
  expect(await lengthOf({ ...tight, countTokens: async () => 1001 })).toEqual([null, false]);
});

test("who is sent away by a full line has used nothing: not the day, not the minute", async () => {
  const setup = admissionTo(0, { depthMax: 0 });
  const before = setup.admission.headers(callerOf());
  for (let call = 0; call < 10; call++) expect(await refusal(setup)).toBe("queue_full");
  expect(setup.admission.headers(callerOf())).toEqual(before);
});

test("who hangs up in line holds nothing any more, but was a request of the minute", async () => {
  const setup = admissionTo(0);
  const caller = new AbortController();
  const waiting = admit(setup, { signal: caller.signal });
  waiting.catch(() => {});
  await Bun.sleep(0);
  expect(setup.admission.counts()).toMatchObject({ inFlight: 1, held: 1, waiting: 1 });
  caller.abort(new Error("hung up"));
  expect(await waiting.catch((error: Error) => error.message)).toBe("hung up");
  expect(setup.admission.counts()).toMatchObject({ inFlight: 0, held: 0, waiting: 0 });
  expect(setup.admission.headers(callerOf())["x-ratelimit-remaining-requests"]).toBe("0");
});

test("a server that is told to stop admits nobody, and sends away who waits", async () => {
  const setup = admissionTo(0);
  const waiting = refusal(setup);
  setup.admission.close();
  expect(await waiting).toBe("shutting_down");
  expect(await refusal(setup)).toBe("shutting_down");
  expect(setup.admission.counts()).toMatchObject({ inFlight: 0, held: 0, waiting: 0 });
});

test("10,000 callers who hang up at any moment leave nothing in flight, in line or on a slot", async () => {
  const setup = admissionTo(7);
  let random = 1;
  const chance = () => {
    random = (random * 16807) % 2147483647;
    return random / 2147483647;
  };
  const callers = Array.from({ length: 50 }, (_, at) =>
    callerOf({ accountId: `a${at}`, keyId: `k${at}`, overrides: { requestsPerMinute: null, concurrencyMax: 4 } }),
  );
  let let_in = 0;
  async function call(): Promise<void> {
    const hangUp = new AbortController();
    const caller = callers[Math.floor(chance() * callers.length)]!;
    const pause = Math.floor(chance() * 40);
    const ticket: Promise<Ticket<string> | null> = admit(setup, { caller, signal: hangUp.signal }).catch(() => null);
    for (let turn = 0; turn < pause; turn++) await Promise.resolve();
    if (chance() < 0.5) hangUp.abort();
    const got = await ticket;
    if (!got) return;
    let_in++;
    for (let turn = 0; turn < pause; turn++) await Promise.resolve();
    if (chance() < 0.2) setup.settle(got, caller);
    else got.close();
  }
  for (let round = 0; round < 100; round++) await Promise.all(Array.from({ length: 100 }, call));
  expect(let_in).toBeGreaterThan(1000);
  expect(setup.admission.counts()).toMatchObject({ inFlight: 0, held: 0, waiting: 0 });
  expect(setup.free()).toBe(7);
});

test("whatever happens in whatever order, no slot is lost and nobody has more than his plan", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("come" as const), who: fc.nat(2), heavy: fc.boolean() }),
    fc.record({ kind: fc.constantFrom("settle" as const, "close" as const, "hang up" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 30_000_000 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 4 }), fc.array(step, { maxLength: 80 }), async (slots, steps) => {
      const setup = admissionTo(slots, { depthMax: 3 });
      const perDay = 6;
      const overrides = { requestsPerDay: perDay, requestsPerMinute: 600, concurrencyMax: 3 };
      const callers = [0, 1, 2].map((at) => callerOf({ accountId: `a${at}`, keyId: `k${at}`, overrides }));
      const counted = new Map<string, number>();
      const held: { ticket: Ticket<string>; who: number }[] = [];
      const coming: AbortController[] = [];
      for (const each of steps) {
        if (each.kind === "pass") {
          setup.clock.now += each.ms;
          setup.clock.monotonic += each.ms;
        } else if (each.kind === "come") {
          const hangUp = new AbortController();
          coming.push(hangUp);
          const model = { ...SMALL, weight: each.heavy ? 2 : 1 };
          admit(setup, { caller: callers[each.who]!, signal: hangUp.signal, model }).then(
            (ticket) => held.push({ ticket, who: each.who }),
            (error) => {
              if (!(error instanceof ApiError) && !hangUp.signal.aborted) throw error;
            },
          );
        } else if (each.kind === "hang up") coming[each.which % coming.length]?.abort();
        else if (held.length > 0) {
          const [{ ticket, who }] = held.splice(each.which % held.length, 1) as [(typeof held)[0]];
          if (each.kind === "close") ticket.close();
          else {
            setup.settle(ticket, callers[who]!);
            const of = `${who} ${ticket.day}`;
            counted.set(of, (counted.get(of) ?? 0) + ticket.units);
          }
        }
        await Bun.sleep(0);
        expect(held.length + setup.free()).toBe(slots);
        for (const units of counted.values()) expect(units).toBeLessThanOrEqual(perDay);
        for (const who of [0, 1, 2]) expect(held.filter((one) => one.who === who).length).toBeLessThanOrEqual(3);
      }
      for (const { ticket } of held) ticket.close();
      setup.admission.close();
      await Bun.sleep(0);
      for (const { ticket } of held) ticket.close();
      expect(setup.free()).toBe(slots);
      expect(setup.admission.counts()).toMatchObject({ inFlight: 0, held: 0, waiting: 0 });
    }),
    { numRuns: 150 },
  );
});

test("costly work is done for nobody beyond his caps, however many ask at once", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ overrides: { requestsPerMinute: null, concurrencyMax: 2 } });
  let done = 0;
  const prepare = async () => {
    done++;
    await Bun.sleep(0);
    return [];
  };
  const all = await Promise.all(Array.from({ length: 50 }, () => refusal(setup, { caller, prepare })));
  expect(all.filter((row) => row === "let in")).toHaveLength(2);
  expect(done).toBe(2);
  expect(await refusal(setup, { model: LARGE, prepare })).toBe("model_not_allowed");
  expect(done).toBe(2);
});

test("what is found bad was a request of the minute and of nothing else; what the plan or we refuse was none", async () => {
  const setup = admissionTo(9);
  const { admission } = setup;
  const caller = callerOf();
  const left = () => [
    admission.headers(caller)["x-ratelimit-remaining-requests"],
    admission.headers(caller)["x-ratelimit-remaining-requests-day"],
  ];
  const failing = (row: ErrorName) => ({ prepare: () => Promise.reject(new ApiError(row, "No.")) });
  const long = { limit: "audioSecondsMax", amount: 9_999, field: "file" } as const;
  expect(left()).toEqual(["1", "60"]);
  expect(await refusal(setup, { prepare: async () => [long] })).toBe("input_limit_exceeded");
  expect(await refusal(setup, failing("queue_full"))).toBe("queue_full");
  expect(left()).toEqual(["1", "60"]);
  expect(await refusal(setup, failing("image_parse_error"))).toBe("image_parse_error");
  expect(left()).toEqual(["0", "60"]);
  expect(admission.counts()).toMatchObject({ inFlight: 0, held: 0, waiting: 0 });
});
