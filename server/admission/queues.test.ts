import { expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import { createQueues, type Standing } from "./queues.ts";

const IDS = ["highest", "high", "best_effort"];
const FLOORS = [0, 0.1, 0.05];
const CLASSES = IDS.map((id, index) => ({ id, floor: FLOORS[index]!, depthMax: 8, waitMsMax: 60_000 }));
const never = new AbortController().signal;
const rowOf = (error: unknown) => (error as ApiError).row;
const standing = (accountId: string, priority = "high"): Standing => ({
  accountId,
  priority,
  weight: 1,
  accountDepthMax: 4,
});

/** Slots of one model, as the fleet counts them. */
function slots(count: number, waitMsMax = 60_000) {
  let free = count;
  const queues = createQueues<string>({
    place: () => {
      if (free === 0) return null;
      free--;
      return {
        engine: "e",
        release: () => {
          free++;
          queues.pump("m");
        },
      };
    },
    classes: CLASSES.map((each) => ({ ...each, waitMsMax })),
    now: () => performance.now(),
  });
  return { queues, free: () => free };
}

test("who finds a slot free does not wait, and the next one gets it when it is given back", async () => {
  const { queues, free } = slots(1);
  const held = await queues.enter("m", standing("a"), never);
  const next = queues.enter("m", standing("b"), never);
  expect(queues.waiting()).toBe(1);
  held.close();
  held.close();
  expect(free()).toBe(0);
  (await next).close();
  expect(free()).toBe(1);
  expect(queues.report()[0]!.classes[1]).toMatchObject({ priority: "high", admitted: 2, depth: 0 });
});

test("models wait in lines of their own", async () => {
  const queues = createQueues<string>({
    place: (model) => (model === "busy" ? null : { engine: model, release: () => {} }),
    classes: CLASSES,
    now: () => 0,
  });
  const waits = queues.enter("busy", standing("a"), never).catch((error) => error);
  expect((await queues.enter("free", standing("a"), never)).engine).toBe("free");
  queues.fail("closed");
  expect(await waits).toBe("closed");
});

test("a model that never got ready says that, not that all were busy", async () => {
  const queues = createQueues({
    place: () => {
      throw new ApiError("model_not_ready", "loading");
    },
    classes: CLASSES.map((each) => ({ ...each, waitMsMax: 1 })),
    now: () => performance.now(),
  });
  expect(await queues.enter("m", standing("a"), never).catch(rowOf)).toBe("model_not_ready");
});

test("a caller who waits too long is told so", async () => {
  expect(await slots(0, 1).queues.enter("m", standing("a"), never).catch(rowOf)).toBe("queue_timeout");
});

test("when a model fails for good, everybody who waits for it hears so", async () => {
  let failed = false;
  const queues = createQueues<string>({
    place: () => {
      if (failed) throw new ApiError("model_failed", "broken");
      return null;
    },
    classes: CLASSES,
    now: () => 0,
  });
  const waiting = ["a", "b"].map((account) => queues.enter("m", standing(account), never).catch(rowOf));
  failed = true;
  queues.pump("m");
  expect(await Promise.all(waiting)).toEqual(["model_failed", "model_failed"]);
});

test("whatever happens in whatever order, no slot is lost and none is given twice", async () => {
  const come = fc.record({ account: fc.constantFrom("a", "b", "c"), priority: fc.constantFrom(...IDS) });
  const step = fc.oneof({ arbitrary: come, weight: 2 }, fc.constant("end" as const), fc.constant("hang up" as const));
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 80 }),
      fc.infiniteStream(fc.boolean()),
      async (count, steps, pauses) => {
        const { queues, free } = slots(count);
        const open: { close(): void }[] = [];
        const callers: AbortController[] = [];
        for (const each of steps) {
          if (each === "end") open.shift()?.close();
          else if (each === "hang up") callers.shift()?.abort();
          else {
            const caller = new AbortController();
            callers.push(caller);
            queues.enter("m", standing(each.account, each.priority), caller.signal).then(
              (seat) => open.push(seat),
              () => {},
            );
          }
          // Sometimes the next thing happens before anybody has heard of the last one.
          if (pauses.next().value) await Promise.resolve();
          expect(open.length + free()).toBeLessThanOrEqual(count);
        }
        await Bun.sleep(0);
        expect(open.length + free()).toBe(count);
        if (queues.waiting() > 0) expect(free()).toBe(0);
        queues.fail("closed");
        for (const seat of open) seat.close();
        expect(free()).toBe(count);
        expect(queues.waiting()).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

test("who has an engine of his own does not wait behind who has none", async () => {
  const free = { shared: 0, own: 1 };
  const queues = createQueues<"shared" | "own">({
    place: (_, { accountId }) => {
      const engine = accountId === "owner" && free.own > 0 ? "own" : "shared";
      if (free[engine] === 0) return null;
      free[engine]--;
      const release = () => {
        free[engine]++;
        queues.pump("m");
      };
      return { engine, release };
    },
    pool: (_, accountId) => (accountId === "owner" ? "own" : ""),
    classes: CLASSES,
    now: () => 0,
  });
  const other = queues.enter("m", standing("a"), never);
  const first = await queues.enter("m", standing("owner"), never);
  expect(first.engine).toBe("own");
  const second = queues.enter("m", standing("owner"), never);
  expect(queues.waiting()).toBe(2);
  expect(queues.report()).toMatchObject([{ model: "m", classes: [{}, { depth: 2, admitted: 1 }, {}] }]);
  first.close();
  expect((await second).engine).toBe("own");
  free.shared++;
  queues.pump("m");
  expect((await other).engine).toBe("shared");
});

test("a slot is exchanged for one of another engine past the line, and a seat that stands in line again waits its turn", async () => {
  const free = new Set(["b"]);
  const queues = createQueues<string>({
    place: (_, { not }) => {
      const engine = [...free].find((each) => !not?.has(each));
      if (engine === undefined) return null;
      free.delete(engine);
      const release = () => {
        free.add(engine);
        queues.pump("m");
      };
      return { engine, release };
    },
    classes: CLASSES.map((each) => ({ ...each, waitMsMax: 1_000 })),
    now: () => clock.now,
  });
  const clock = { now: 0 };
  const seat = await queues.enter("m", standing("a"), never);
  const waiting = queues.enter("m", standing("b"), never);
  expect(seat.move(new Set(["b"]))).toBe(false);
  free.add("c");
  expect(seat.move(new Set(["b"]))).toBe(true);
  expect(seat.engine).toBe("c");
  expect((await waiting).engine).toBe("b"); // what was given back
  clock.now = 400;
  const next = queues.enter("m", standing("b"), never);
  const again = seat.again(never);
  expect((await next).engine).toBe("c");
  clock.now = 600;
  (await next).close();
  await again;
  expect([seat.engine, seat.waitedMs]).toEqual(["c", 200]);
  clock.now = 1_000;
  expect(await seat.again(never).catch(rowOf)).toBe("queue_timeout");
  expect(free.has("c")).toBe(true); // the seat is closed
  seat.close();
  (await waiting).close();
  expect([...free].sort()).toEqual(["b", "c"]);
});

test("who stands in line again for a short time leaves it then, and has not hung up", async () => {
  let end = () => {};
  let slot: string | null = "a";
  const queues = createQueues<string>({
    place: () => {
      const engine = slot;
      slot = null;
      return engine === null ? null : { engine, release: () => {} };
    },
    classes: CLASSES,
    now: () => 0,
    after: (ms, run) => {
      if (ms === 70) end = run;
      return () => {};
    },
  });
  const seat = await queues.enter("m", standing("a"), never);
  const again = seat.again(never, 70).catch(rowOf);
  end();
  expect(await again).toBe("queue_timeout");
  const { expired, cancelled } = queues
    .report()[0]!
    .classes.find(({ priority }) => priority === standing("a").priority)!;
  expect([expired, cancelled, queues.waiting()]).toEqual([1, 0, 0]);
});

test("who waits for some engines is not in the way of who can go to others", async () => {
  const taken = new Set<string>();
  const queues = createQueues<string>({
    place: (_, { within = "any" }) => {
      if (taken.has(within)) return null;
      taken.add(within);
      return { engine: within, release: () => taken.delete(within) };
    },
    classes: CLASSES,
    now: () => performance.now(),
  });
  const first = await queues.enter("m", { ...standing("a"), within: "tag:new" }, never);
  const waits = queues.enter("m", { ...standing("b"), within: "tag:new" }, never);
  expect((await queues.enter("m", standing("c"), never)).engine).toBe("any");
  expect(queues.waiting()).toBe(1);
  first.close();
  queues.pump("m");
  expect((await waits).engine).toBe("tag:new");
});
