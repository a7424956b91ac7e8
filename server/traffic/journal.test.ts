import { afterEach, expect, test } from "bun:test";
import { appendFileSync, chmodSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createJournal, readJournal } from "./journal.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function open(more: { bytesMax?: number; ageMsMax?: number; now?: () => number; folder?: string } = {}) {
  const folder = more.folder ?? join(mkdtempSync(join(tmpdir(), "oxbow-journal-")), "traffic");
  folders.push(join(folder, ".."));
  const warnings: string[] = [];
  const log = { warn: (_: object, text: string) => void warnings.push(text) };
  const journal = createJournal({ folder, name: "x", bytesMax: 10_000, ageMsMax: 1e9, now: Date.now, log, ...more });
  return { folder, journal, warnings };
}
const sizeOf = (folder: string) =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

test("what was added is there, in its order, and for nobody else to read", async () => {
  const { folder, journal } = open();
  for (const n of [1, 2, 3]) journal.add({ n });
  await journal.flush();
  journal.add({ n: 4 });
  await journal.flush();
  expect(readJournal<{ n: number }>(folder, "x").map(({ n }) => n)).toEqual([1, 2, 3, 4]);
  expect(statSync(join(folder, "x.jsonl")).mode & 0o077).toBe(0);
  expect(statSync(folder).mode & 0o077).toBe(0);
});

test("lines come to the file by themselves", async () => {
  const { folder, journal } = open();
  journal.add({ n: 1 });
  const until = Date.now() + 5_000;
  while (readJournal(folder, "x").length === 0 && Date.now() < until) await Bun.sleep(20);
  expect(readJournal(folder, "x").length).toBe(1);
});

test("however much is added, the files stay within their bound, and the newest lines are there", async () => {
  const { folder, journal } = open();
  for (let n = 0; n < 2_000; n++) {
    journal.add({ n, text: "x".repeat(50) });
    if (n % 10 === 0) await journal.flush();
  }
  await journal.flush();
  expect(sizeOf(folder)).toBeLessThanOrEqual(10_000);
  const rows = readJournal<{ n: number }>(folder, "x").map(({ n }) => n);
  expect(rows.at(-1)).toBe(1_999);
  expect(rows.length).toBeGreaterThan(60);
  expect(rows).toEqual(rows.toSorted((a, b) => a - b));
});

test("no line grows older than it may, also when no new ones come", async () => {
  let at = Date.now();
  const { folder, journal } = open({ ageMsMax: 1_000_000, now: () => at });
  const numbers = () => readJournal<{ n: number }>(folder, "x").map(({ n }) => n);
  /** The test's clock is not that of the file system. */
  const add = async (n: number) => {
    journal.add({ n });
    await journal.flush();
    for (const name of readdirSync(folder)) {
      if (name === "x.jsonl") utimesSync(join(folder, name), new Date(at), new Date(at));
    }
  };
  await add(1);
  at += 400_000;
  await add(2);
  at += 200_000;
  await add(3);
  expect(numbers()).toEqual([1, 2, 3]);
  at += 390_000; // 1 is 990 s old
  await journal.sweep();
  expect(numbers()).toEqual([3]);
  at += 1_000_001;
  await journal.sweep();
  await journal.sweep();
  expect(numbers()).toEqual([]);
  expect(readdirSync(folder).filter((name) => statSync(join(folder, name)).size > 0)).toEqual([]);
});

test("a line that was cut off is left out, and what cannot be written is counted", async () => {
  const { folder, journal, warnings } = open();
  journal.add({ n: 1 });
  await journal.flush();
  appendFileSync(join(folder, "x.jsonl"), '{"n":2,"te');
  expect(readJournal<{ n: number }>(folder, "x")).toEqual([{ n: 1 }]);
  journal.add({ text: "x".repeat(6_000) });
  expect(journal.dropped()).toBe(1);
  rmSync(folder, { recursive: true });
  appendFileSync(folder, "a file in its place");
  chmodSync(folder, 0o400);
  journal.add({ n: 3 });
  await journal.flush();
  expect(journal.dropped()).toBe(2);
  expect(warnings.length).toBe(1);
});
