import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { atOnce, estimateBytes, threadBudget } from "./budget.ts";
import { model } from "./test-fleet.ts";

const budget = (asked: (number | undefined)[], cores: number) => [
  ...threadBudget(
    asked.map((threads, index) => ({ id: String(index), ...(threads === undefined ? {} : { threads }) })),
    cores,
  ).values(),
];

test("one worker gets all cores but one, several share them, and an entry's own number is obeyed", () => {
  expect(budget([undefined], 8)).toEqual([7]);
  expect(budget([undefined], 1)).toEqual([1]);
  expect(budget([undefined, undefined], 8)).toEqual([4, 3]);
  expect(budget([1, undefined], 8)).toEqual([1, 6]);
  expect(budget([6, undefined, undefined], 4)).toEqual([6, 1, 1]);
});

test("threads add up to at most the cores, unless there are more workers than cores or an entry asks for more", () => {
  const entry = fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined });
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 128 }), (asked, cores) => {
      const given = budget(asked, cores);
      const sum = given.reduce((a, b) => a + b, 0);
      const least = asked.reduce<number>((a, b) => a + (b ?? 1), 0);
      expect(Math.min(...given)).toBeGreaterThanOrEqual(1);
      expect(sum).toBeLessThanOrEqual(Math.max(cores, least));
    }),
  );
});

test("the memory of a model is its file, the cache of its slots and the worker itself", () => {
  const file = join(tmpdir(), `oxbow-weights-${process.pid}`);
  writeFileSync(file, "");
  truncateSync(file, 3_400_000_000); // sparse
  const models = [model("m", { contextTokens: 10_000 })];
  const bytesOf = (slots: number) => estimateBytes({ models: [{ id: "m", file }], slots }, models);
  expect(bytesOf(1)).toBe(90_000_000 + 3_400_000_000 + 1_000_000_000);
  expect(bytesOf(2) - bytesOf(1)).toBe(1_000_000_000);
  unlinkSync(file);
  expect(bytesOf(1)).toBe(90_000_000);
  expect(estimateBytes({ models: "all", slots: 256 }, models)).toBe(90_000_000);
});

test("as many fit at once as the smallest of them fill the room", () => {
  expect(atOnce([4, 4, 4], 10)).toBe(2);
  expect(atOnce([8, 1, 9, 1], 10)).toBe(3);
  expect(atOnce([8, 9], 5)).toBe(0);
  expect(atOnce([1, 2], Number.POSITIVE_INFINITY)).toBe(2);
});

test("a model in parts is as large as all of them, a folder as all that is in it", () => {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-parts-"));
  const parts = [1, 2, 3].map((at) => join(folder, `m-0000${at}-of-00003.gguf`));
  for (const [at, part] of parts.entries()) writeFileSync(part, new Uint8Array(1000 * (at + 1)));
  const bytesOf = (file: string) => estimateBytes({ models: [{ id: "m", file }], slots: 1 }, []) - 90_000_000;
  expect(bytesOf(parts[0]!)).toBe(6000);
  expect(bytesOf(folder)).toBe(6000);
  rmSync(folder, { recursive: true });
});

test("a path that leads nowhere, or to itself, counts nothing and stops nothing", () => {
  const link = join(tmpdir(), `oxbow-loop-${process.pid}`);
  symlinkSync(link, link);
  try {
    const [nothing, loop] = ["/no/such/file", link].map((file) =>
      estimateBytes({ models: [{ id: "m", file }], slots: 1 }, []),
    );
    expect(loop).toBe(nothing!);
  } finally {
    unlinkSync(link);
  }
});
