import { expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import { createTurns } from "./turns.ts";

const { signal } = new AbortController();

test("who has sent much waits behind himself, and others go on", async () => {
  const turns = createTurns({ places: 2, ownPlaces: 1 });
  const order: string[] = [];
  const leave: (() => void)[] = [];
  const come = (owner: string) =>
    turns.take(owner, 1, signal).then((release) => {
      order.push(owner);
      leave.push(release);
    });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  for (let count = 0; count < 5; count++) void come("a");
  await settle();
  expect(order).toEqual(["a"]);
  void come("b");
  void come("c");
  await settle();
  expect(order).toEqual(["a", "b"]);
  leave[1]!();
  await settle();
  expect(order).toEqual(["a", "b", "c"]);
});

test("one owner cannot fill the line either", async () => {
  const turns = createTurns({ places: 1, ownPlaces: 1 });
  const given = new AbortController();
  const all = Array.from({ length: 200 }, () =>
    turns.take("a", 1, given.signal).then(
      () => "taken",
      (error: unknown) => (error instanceof ApiError ? error.row : "given up"),
    ),
  );
  const other = turns.take("b", 1, given.signal).catch(() => "still in line");
  given.abort();
  const rows = await Promise.all(all);
  expect(rows.filter((row) => row === "queue_full")).toHaveLength(71);
  expect(rows.filter((row) => row === "given up")).toHaveLength(128);
  expect(await other).toBe("still in line");
});

test("however owners come, leave and give up, no place is lost, and none is taken twice", async () => {
  const come = fc.record({
    owner: fc.constantFrom("a", "b", "c", null),
    size: fc.integer({ min: 1, max: 2 }),
    gives: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(come, { maxLength: 40 }), async (all) => {
      const turns = createTurns({ places: 3, ownPlaces: 2 });
      let used = 0;
      const own = new Map<string | null, number>();
      await Promise.all(
        all.map(async ({ owner, size, gives }) => {
          const hangUp = new AbortController();
          const waiting = turns.take(owner, size, hangUp.signal).catch(() => null);
          if (gives) hangUp.abort();
          const release = await waiting;
          if (release === null) return;
          used += size;
          own.set(owner, (own.get(owner) ?? 0) + size);
          expect(used).toBeLessThanOrEqual(3);
          if (owner !== null) expect(own.get(owner)!).toBeLessThanOrEqual(2);
          await new Promise((resolve) => setImmediate(resolve));
          used -= size;
          own.set(owner, own.get(owner)! - size);
          release();
          release();
        }),
      );
      const release = await turns.take(null, 3, signal);
      release();
    }),
    { numRuns: 60 },
  );
});
