import { expect, test } from "bun:test";
import fc from "fast-check";
import { createHealth, type Look, leftOut } from "./health.ts";

/** Health of an engine that looks as told, on a clock that stands still. */
function setUp({ errorsMax = 3, slowStartMs = 10_000 } = {}) {
  const clock = { now: 1_000 };
  let changes = 0;
  const looks: PromiseWithResolvers<Look>[] = [];
  const health = createHealth({
    now: () => clock.now,
    look: () => {
      const look = Promise.withResolvers<Look>();
      looks.push(look);
      return look.promise;
    },
    onChange: () => {
      changes++;
    },
    errorsMax,
    lookMs: 5_000,
    slowStartMs,
  });
  return {
    health,
    clock,
    looks,
    changes: () => changes,
    ejected: () => health.standing().ejectedAt !== null,
    /** Answers the look that is under way, and lets it be heard. */
    async answer(look: Look) {
      looks.at(-1)!.resolve(look);
      await looks.at(-1)!.promise;
      await Promise.resolve();
    },
  };
}
const FAILED = { kind: "failed" } as const;

test("failures in a row send an engine off, and an answer in between is a new beginning", () => {
  const { health, ejected } = setUp();
  for (const outcome of [FAILED, FAILED, { kind: "ok" } as const, FAILED, FAILED]) health.report(outcome);
  expect(ejected()).toBe(false);
  health.report(FAILED);
  expect(ejected()).toBe(true);
  expect(health.standing().reason).toContain("failed");
  health.report(FAILED); // of a call from before
  expect(health.ejections()).toBe(1);
});

test("who was sent off is asked again after pauses that double up to a minute, and never given up", async () => {
  const { health, clock, looks, answer } = setUp();
  for (let error = 0; error < 3; error++) health.report(FAILED);
  const pauses: number[] = [];
  for (let pause = 0; pause < 9; pause++) {
    const from = clock.now;
    const asked = looks.length;
    while (looks.length === asked) {
      clock.now += 500;
      health.tick();
    }
    pauses.push(clock.now - from);
    await answer("ill");
  }
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test("it comes back with a share that grows, and one failure is enough to send it off again", async () => {
  const { health, clock, answer, ejected } = setUp();
  for (let error = 0; error < 3; error++) health.report(FAILED);
  clock.now += 1_000;
  health.tick();
  await answer("well");
  expect(ejected()).toBe(false);
  const shares = [0, 2_500, 5_000, 9_000, 12_000].map((ms, index, all) => {
    clock.now += ms - (all[index - 1] ?? 0);
    return health.standing().share;
  });
  expect(shares).toEqual([0.1, 0.25, 0.5, 0.9, 1]);

  const again = setUp();
  for (let error = 0; error < 3; error++) again.health.report(FAILED);
  again.clock.now += 1_000;
  again.health.tick();
  await again.answer("well");
  again.health.report(FAILED);
  expect(again.ejected()).toBe(true);
});

test("an engine that was cut off gets nothing until a look has found it", async () => {
  const { health, looks, answer, changes } = setUp();
  health.report({ kind: "unreachable" });
  health.report({ kind: "unreachable" });
  expect(health.standing()).toMatchObject({ held: true, ejectedAt: null });
  expect(looks).toHaveLength(1); // however many calls were cut
  const before = changes();
  await answer("well");
  expect(health.standing().held).toBe(false);
  expect(changes()).toBe(before + 1); // who waits is told
});

test("three bad looks in a row send an engine off that nobody calls", async () => {
  const { health, clock, answer, ejected } = setUp();
  for (const look of ["ill", "ill", "well", "ill", "ill"] as const) {
    clock.now += 5_000;
    health.tick();
    await answer(look);
    expect(ejected()).toBe(false);
  }
  clock.now += 5_000;
  health.tick();
  await answer("ill");
  expect(ejected()).toBe(true);
});

test("one that takes no more calls is left alone for as long as it says, within bounds, and longer each time", () => {
  const { health, clock } = setUp();
  const left = () => health.standing().busyUntil - clock.now;
  health.report({ kind: "busy", retryAfterMs: 2_500 });
  expect(left()).toBe(2_500);
  clock.now += 2_500;
  expect(health.standing().busyUntil).toBe(0);
  health.report({ kind: "busy", retryAfterMs: 3_600_000 });
  expect(left()).toBe(10_000);
  clock.now += 10_000;
  health.report({ kind: "ok" });
  const unsaid = [0, 0, 0, 0].map(() => {
    health.report({ kind: "busy" });
    const ms = left();
    clock.now += ms;
    return ms;
  });
  expect(unsaid).toEqual([250, 500, 1_000, 1_000]);
});

test("what was learned of an engine that is gone does not count for the one that takes its place", async () => {
  const { health, looks, ejected } = setUp();
  health.report({ kind: "unreachable" });
  health.appeared(true);
  looks[0]!.resolve("ill");
  await looks[0]!.promise;
  for (let error = 0; error < 1; error++) health.report({ kind: "ok" });
  expect(ejected()).toBe(false);
  expect(health.standing()).toMatchObject({ held: false, share: 0.1 });
});

test("never more than half are left out, counting those that are not there; who was sent off first stays out", () => {
  const member = fc.record({ there: fc.boolean(), ejectedAt: fc.option(fc.nat(1_000), { nil: null }) });
  fc.assert(
    fc.property(fc.array(member, { maxLength: 12 }), (members) => {
      const out = leftOut(members);
      const gone = members.filter(({ there }) => !there).length;
      expect(out.size === 0 || out.size + gone <= members.length / 2).toBe(true);
      const ejected = members.filter(({ there, ejectedAt }) => there && ejectedAt !== null);
      // As many as may be.
      expect(out.size).toBe(Math.max(0, Math.min(ejected.length, Math.floor(members.length / 2) - gone)));
      const latest = Math.max(...[...out].map(({ ejectedAt }) => ejectedAt!));
      for (const each of ejected) if (!out.has(each)) expect(each.ejectedAt!).toBeGreaterThanOrEqual(latest);
    }),
  );
});
