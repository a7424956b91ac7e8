import { expect, test } from "bun:test";
import fc from "fast-check";
import { createResidency, type Resident, type Seat } from "./residency.ts";

/** A pool of ten bytes, a clock that stands until it is moved, engines that do at once what they are told. */
function world({ stayMsMin = 0, bytes = 10, settles = true } = {}) {
  let time = 0;
  let alarms: { at: number; back: () => void }[] = [];
  const residency = createResidency({
    bytesOf: () => bytes,
    now: () => time,
    after: (ms, back) => {
      const alarm = { at: time + ms, back };
      alarms.push(alarm);
      return () => {
        alarms = alarms.filter((each) => each !== alarm);
      };
    },
    stayMsMin,
  });
  const loaded = new Set<string>();
  const said: string[] = [];
  const calls = new Map<string, number>();
  const unloading: (() => void)[] = [];
  const engine = (id: string, size: number, more: Partial<Resident> = {}): Seat => {
    const seat: Seat = residency.add({
      id,
      pool: () => "machine",
      bytes: () => size,
      pinned: () => false,
      busy: () => (calls.get(id) ?? 0) > 0,
      load: () => {
        said.push(`load ${id}`);
        loaded.add(id);
        if (settles) seat.settled();
      },
      rest: () => void said.push(`rest ${id}`),
      unload: () =>
        new Promise((resolve) => {
          if ((calls.get(id) ?? 0) > 0) throw new Error(`${id} has calls`);
          unloading.push(() => {
            loaded.delete(id);
            said.push(`out ${id}`);
            resolve();
          });
        }),
      fail: (reason) => void said.push(`fail ${id}: ${reason}`),
      ...more,
    });
    return seat;
  };
  return {
    residency,
    engine,
    loaded,
    said,
    calls,
    /** What was told to go has gone. */
    async gone() {
      while (unloading.length > 0) {
        unloading.shift()!();
        await Promise.resolve();
        await Promise.resolve();
      }
    },
    move(ms: number) {
      time += ms;
      const due = alarms.filter(({ at }) => at <= time);
      alarms = alarms.filter(({ at }) => at > time);
      for (const { back } of due) back();
    },
  };
}

test("what fits is loaded when it is asked for, and stays", () => {
  const { engine, said } = world();
  const [a, b] = [engine("a", 5), engine("b", 5)];
  expect(said).toEqual([]);
  a.want();
  b.want();
  a.want();
  expect(said).toEqual(["load a", "load b"]);
});

test("the least lately used makes room, and the next is loaded when it is gone, not before", async () => {
  const { engine, said, gone, move } = world();
  const [a, b, c] = [engine("a", 5), engine("b", 5), engine("c", 5)];
  a.want();
  b.want();
  move(1);
  a.used();
  c.want();
  expect(said.splice(0)).toEqual(["load a", "load b", "rest b"]);
  await gone();
  expect(said).toEqual(["out b", "load c"]);
});

test("one that works on calls takes no more, finishes them, and then goes", async () => {
  const { engine, said, gone, calls } = world();
  const [a, b] = [engine("a", 8), engine("b", 8)];
  a.want();
  calls.set("a", 2);
  b.want();
  expect(said.splice(0)).toEqual(["load a", "rest a"]);
  calls.set("a", 1);
  a.freed();
  await gone();
  expect(said).toEqual([]);
  calls.set("a", 0);
  a.freed();
  await gone();
  expect(said).toEqual(["out a", "load b"]);
});

test("an idle one goes before a busy one, though it was used later", () => {
  const { engine, said, calls, move } = world();
  const [a, b, c] = [engine("a", 5), engine("b", 5), engine("c", 5)];
  a.want();
  b.want();
  calls.set("a", 1);
  move(5);
  b.used();
  c.want();
  expect(said.at(-1)).toBe("rest b");
});

test("a pinned one never makes room, and what does not fit beside it has failed with both numbers", () => {
  const { engine, said, residency } = world({ bytes: 10e9 });
  engine("p", 6e9, { pinned: () => true });
  residency.review();
  engine("big", 5e9).want();
  engine("small", 4e9).want();
  expect(said).toEqual([
    "load p",
    "fail big: It needs about 5.0 GB of memory, but there are 10.0 GB, 6.0 GB of them for pinned models.",
    "load small",
  ]);
});

test("one that has just been loaded stays for a while, whoever waits", async () => {
  const { engine, said, move, gone } = world({ stayMsMin: 100 });
  const [a, b] = [engine("a", 8), engine("b", 8)];
  a.want();
  b.want();
  move(99);
  expect(said).toEqual(["load a"]);
  move(1);
  await gone();
  expect(said).toEqual(["load a", "rest a", "out a", "load b"]);
});

test("one that still loads is not sent away, however long it takes; its stay begins when it is warm", async () => {
  const { engine, said, move, gone } = world({ stayMsMin: 100, settles: false });
  const [a, b] = [engine("a", 8), engine("b", 8)];
  a.want();
  b.want();
  move(1_000);
  expect(said).toEqual(["load a"]);
  a.settled();
  move(99);
  expect(said).toEqual(["load a"]);
  move(1);
  await gone();
  expect(said).toEqual(["load a", "rest a", "out a", "load b"]);
});

test("who was asked for first is served first, also when a later one would fit", async () => {
  const { engine, said, calls, gone } = world();
  const [a, big, small] = [engine("a", 6), engine("big", 9), engine("small", 3)];
  a.want();
  calls.set("a", 1);
  big.want();
  small.want();
  expect(said.splice(0)).toEqual(["load a", "rest a"]);
  calls.set("a", 0);
  a.freed();
  await gone();
  expect(said).toEqual(["out a", "load big", "rest big", "out big", "load small"]);
});

test("one that could not give its memory back serves on", async () => {
  const { engine, said } = world({ stayMsMin: 0 });
  let refused = false;
  const a = engine("a", 8, {
    unload: () => {
      if (refused) return new Promise(() => {});
      refused = true;
      return Promise.reject(new Error("no"));
    },
  });
  a.want();
  engine("b", 8).want();
  await Promise.resolve();
  expect(said.slice(0, 3)).toEqual(["load a", "rest a", "load a"]);
});

test("a replacement with the same name takes the place of the old one, pinned or not", async () => {
  const { engine, said, gone, residency } = world();
  engine("a", 8, { pinned: () => true });
  residency.review();
  engine("a", 9, { pinned: () => true });
  residency.review();
  await gone();
  expect(said).toEqual(["load a", "rest a", "out a", "load a"]);
});

test("whatever is wanted, used, begun and ended in whatever order: the pool is never overfull, nothing goes with calls in it, and everyone gets a turn", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 2, maxLength: 5 }),
      fc.array(fc.tuple(fc.nat(4), fc.constantFrom("want", "begin", "end", "gone", "move")), { maxLength: 60 }),
      async (sizes, steps) => {
        const { engine, loaded, calls, gone, move } = world({ stayMsMin: 10 });
        const seats = sizes.map((size, at) => engine(String(at), size));
        const check = () => {
          const used = [...loaded].reduce((sum, id) => sum + sizes[Number(id)]!, 0);
          expect(used).toBeLessThanOrEqual(10);
        };
        for (const [which, what] of steps) {
          const at = which % sizes.length;
          const id = String(at);
          const running = calls.get(id) ?? 0;
          if (what === "want") seats[at]!.want();
          if (what === "begin" && loaded.has(id)) calls.set(id, running + 1);
          if (what === "end" && running > 0) {
            calls.set(id, running - 1);
            seats[at]!.freed();
          }
          if (what === "gone") await gone();
          if (what === "move") move(7);
          check();
        }
        for (const [at, seat] of seats.entries()) {
          calls.set(String(at), 0);
          seat.freed();
        }
        for (const [at, seat] of seats.entries()) {
          seat.want();
          for (let round = 0; round < 20 && !loaded.has(String(at)); round++) {
            move(10);
            await gone();
            check();
          }
          expect(loaded.has(String(at))).toBe(true);
        }
      },
    ),
    { numRuns: 200 },
  );
});
