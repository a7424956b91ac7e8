import { expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import { openTo, poolOf } from "./group.ts";
import type { Replica } from "./replica.ts";
import { groupOf, SLOW_START_MS } from "./test-group.ts";

const count = (ids: string[], id: string) => ids.filter((each) => each === id).length;
const eject = (replica: Replica) => {
  for (let error = 0; error < 2; error++) replica.health.report({ kind: "failed" });
};
function refusalOf(action: () => unknown): ApiError {
  try {
    action();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

test("all slots of all engines are given, and not one more", () => {
  const { all, replicas } = groupOf({ slots: 3 }, { slots: 5 }, { slots: 1 });
  expect(all({ affinity: "one text", accountId: "a" })).toHaveLength(9);
  expect(replicas.map(({ slots }) => slots.taken)).toEqual([3, 5, 1]);
});

test("whatever comes, goes and fails, no slot is given twice, and an idle engine that is well is always found", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("place" as const), affinity: fc.constantFrom("x", "y", "z", undefined) }),
    fc.record({ kind: fc.constant("release" as const), at: fc.nat() }),
    fc.record({ kind: fc.constant("fail" as const), at: fc.nat(2) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(3_000) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 3, maxLength: 3 }),
      (steps, slots) => {
        const { place, replicas, clock } = groupOf(...slots.map((each) => ({ slots: each })));
        const held: (() => void)[] = [];
        for (const step of steps) {
          if (step.kind === "wait") clock.now += step.ms;
          if (step.kind === "release") held.splice(step.at % Math.max(1, held.length), 1)[0]?.();
          if (step.kind === "fail") replicas[step.at]!.health.report({ kind: "failed" });
          if (step.kind === "place") {
            const placed = place({ affinity: step.affinity });
            if (placed) held.push(placed.release);
            // Two of three may be out at most in name; one that is idle and not out must have been found.
            const idle = replicas.filter(({ slots: { taken } }) => taken === 0);
            const well = idle.filter(({ health }) => health.standing().ejectedAt === null);
            if (placed === null) expect(well).toEqual([]);
          }
          expect(replicas.reduce((sum, each) => sum + each.slots.taken, 0)).toBe(held.length);
          for (const { slots } of replicas) expect(slots.taken).toBeLessThanOrEqual(slots.count);
        }
        for (const release of held) release();
        expect(replicas.map(({ slots }) => slots.taken)).toEqual([0, 0, 0]);
      },
    ),
    { numRuns: 300 },
  );
});

test("one that was sent off gets nothing while others serve, and half of them always do", () => {
  const { all, replicas } = groupOf({}, {}, {});
  eject(replicas[1]!);
  expect(count(all(), "e1")).toBe(0);
  const worse = groupOf({}, {}, {}, {});
  for (const replica of worse.replicas) eject(replica);
  expect(new Set(worse.all()).size).toBe(2);
  const alone = groupOf({});
  eject(alone.replicas[0]!);
  expect(alone.all()).toHaveLength(8);
});

test("one that comes back takes a growing part of its slots, unless it is all there is", () => {
  const { all, replicas, clock, said } = groupOf({ slots: 20 }, { slots: 20 });
  replicas[0]!.health.appeared(true);
  expect(count(all(), "e0")).toBe(2);
  clock.now += SLOW_START_MS / 2;
  expect(count(all(), "e0")).toBe(8); // half of its slots, with those it has
  said[1]!.state = { state: "loading", progress: 0 };
  expect(count(all(), "e0")).toBe(10);
});

test("its part of the calls grows too, however few they are", () => {
  const { place, replicas, clock } = groupOf({ slots: 100 }, { slots: 100 });
  replicas[0]!.health.appeared(true);
  const partAt = (ms: number) => {
    clock.now = ms;
    const placed = Array.from({ length: 40 }, (_, index) => place({ affinity: `text ${index}` })!);
    const part = placed.filter(({ replica }) => replica === replicas[0]).length / placed.length;
    for (const { release } of placed) release();
    return part;
  };
  const parts = [0, 0.5, 1].map((part) => partAt(part * SLOW_START_MS));
  expect(parts[0]).toBeLessThanOrEqual(0.2);
  expect(parts[1]!).toBeWithin(parts[0]!, 0.45);
  expect(parts[2]!).toBeWithin(0.35, 0.65);
});

test("an engine whose cache is full gets nothing, unless its word is old or it does nothing", async () => {
  const { all, replicas, said, clock } = groupOf({}, {});
  said[0]!.load = { running: 3, waiting: 0, kvUsage: 0.96, work: null };
  await replicas[0]!.poll();
  const first = all();
  expect(count(first, "e0")).toBe(0);
  clock.now += 5_001;
  expect(count(all(), "e0")).toBe(8);
  const idle = groupOf({}, {});
  idle.said[0]!.load = { running: 0, waiting: 0, kvUsage: 1, work: null };
  await idle.replicas[0]!.poll();
  expect(count(idle.all(), "e0")).toBe(1); // and from then on works on something
});

test("calls of others count as load, as long as the engine's word is new", async () => {
  const { place, replicas, said, clock } = groupOf({ slots: 100 }, { slots: 100 });
  said[0]!.load = { running: 20, waiting: 10, kvUsage: null, work: null };
  await replicas[0]!.poll();
  const went = Array.from({ length: 20 }, () => place()!.replica.entry.id);
  expect(went).toEqual(Array(20).fill("e1"));
  clock.now += 6_000;
  expect(place()!.replica.entry.id).toBe("e0"); // it has the least to do of ours
});

test("our own calls are never taken for those of others, whenever the engine counted them", async () => {
  const { place, replicas, said, clock } = groupOf({ slots: 100 }, { slots: 100 });
  const ended = place({ affinity: "x" })!;
  const at = replicas.indexOf(ended.replica);
  said[at]!.load = { running: 2, waiting: 0, kvUsage: null, work: null };
  const polled = replicas[at]!.poll();
  const begun = replicas[at]!.slots.take()!; // while it was asked
  ended.release();
  begun();
  await polled;
  clock.now += 100;
  expect(replicas[at]!.load()).toBe(0);
  expect(place({ affinity: "x" })!.replica).toBe(ended.replica);
});

test("an engine for some accounts is theirs alone, and they go there first", () => {
  const { all, place, replicas } = groupOf({ slots: 2 }, { slots: 2, accounts: ["a", "b"] });
  expect(place({ accountId: "a" })!.replica.entry.id).toBe("e1");
  expect(all({ accountId: "c" })).toEqual(["e0", "e0"]);
  expect(all({ accountId: "b" })).toEqual(["e1"]);
  expect(openTo(replicas, "c").map(({ entry }) => entry.id)).toEqual(["e0"]);
  expect([poolOf(replicas, "a"), poolOf(replicas, "b"), poolOf(replicas, "c")]).toEqual(["e1", "e1", ""]);
});

test("an engine that a call must not go to is passed over, and a draining one", () => {
  const { place, replicas } = groupOf({}, {}, {});
  replicas[2]!.draining = true;
  for (let call = 0; call < 5; call++) expect(place({ not: new Set(["e0"]) })!.replica.entry.id).toBe("e1");
  expect(place({ not: new Set(["e0", "e1"]) })).toBeNull();
});

test("one that is cut off, or takes no more, is left alone until it is heard of", async () => {
  const { all, place, replicas, clock } = groupOf({ slots: 2 }, { slots: 2 });
  replicas[0]!.health.report({ kind: "unreachable" });
  expect(place({ not: new Set(["e1"]) })).toBeNull();
  await Bun.sleep(0); // the look
  expect(place({ not: new Set(["e1"]) })).not.toBeNull();
  replicas[1]!.health.report({ kind: "busy", retryAfterMs: 1_000 });
  expect(all()).toEqual(["e0"]);
  clock.now += 1_000;
  expect(all()).toEqual(["e1", "e1"]);
});

test("when none is warm the soonest one says when to come back, and one that failed for good speaks last", () => {
  const { place, said } = groupOf({}, {});
  for (const each of said) each.state = { state: "loading", progress: 0.5 };
  expect(refusalOf(place)).toMatchObject({ row: "model_not_ready", retryAfterMs: 700 });
  said[0]!.state = { state: "failed", reason: "no such file" };
  expect(refusalOf(place)).toMatchObject({ row: "model_not_ready", retryAfterMs: 1_400 });
  said[1]!.state = { state: "failed", reason: "no such file" };
  expect(refusalOf(place)).toMatchObject({ row: "model_failed" });
});

test("a wish for some of the engines is met while one of them is there", () => {
  const { all, place, replicas, said } = groupOf(
    { slots: 2, tags: ["new"] },
    { slots: 2 },
    { slots: 2, tags: ["new"] },
  );
  expect(all({ within: "tag:new" }).sort()).toEqual(["e0", "e0", "e2", "e2"]);
  expect(place({ within: "engine:e1" })?.replica.entry.id).toBe("e1");
  // Tried and failed there: anywhere else will do.
  expect(place({ within: "engine:e1", not: new Set(["e1"]) })).toBeNull(); // the others are full
  expect(place({ within: "engine:nobody" })?.replica.entry.id).toBe("e1");
  for (const each of said) each.state = { state: "failed", reason: "gone" };
  expect(refusalOf(() => place({ within: "tag:new" })).row).toBe("model_failed");
  expect(openTo(replicas, undefined)).toHaveLength(3);
});

test("a wish for an engine that is gone waits for nothing while another is there", () => {
  const { place, said } = groupOf({}, {});
  said[0]!.state = { state: "loading", progress: 0, reason: "nobody answers" };
  expect(place({ within: "engine:e0" })?.replica.entry.id).toBe("e1");
  // One that has only begun is waited for.
  said[0]!.state = { state: "loading", progress: 0 };
  expect(refusalOf(() => place({ within: "engine:e0" }))).toMatchObject({ row: "model_not_ready", retryAfterMs: 700 });
});
