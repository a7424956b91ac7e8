// The ledger on real files: what it promises to who settles, to who asks, and to who comes after a crash.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@oxbow/contract";
import { type LedgerEntry, openLedger, openUsage, rebuildUsage, type Settled } from "./ledger.ts";

const DAY = "2026-11-21";
const NOON = Date.parse(`${DAY}T12:00:00Z`);
const DONE: Settled = {
  outcome: "complete",
  tokensIn: 100,
  tokensOut: 20,
  waitedMs: 1.5,
  firstTokenMs: 30.2,
  durationMs: 400,
};
const ANSWER = { status: 200, contentType: "application/json", bytes: new TextEncoder().encode('{"a":"ä"}') };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-ledger-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const newHome = () => mkdtempSync(join(folder, "home-"));
const now = () => NOON;

function entryOf(more: Partial<LedgerEntry> = {}): LedgerEntry {
  const names = {
    accountId: "acc-1",
    keyId: "key00001",
    plan: "pro@2026",
    model: "tiny",
    endpoint: "/v1/chat/completions",
  };
  return { requestId: newId("req_"), ...names, day: DAY, units: 1, at: NOON, ...more };
}

test("a request that was settled is on disk when that is said, and counts", async () => {
  const home = newHome();
  const ledger = await openLedger({ home, now });
  const entry = entryOf();
  ledger.reserve(entry);
  expect(ledger.settled("acc-1", DAY)).toBe(0);
  await ledger.settle(entry.requestId, DONE);
  const usage = openUsage(home)!;
  const page = usage.rows({ accountId: "acc-1" }, { limit: 10 })!;
  usage.close();
  expect(page).toEqual({
    rows: [
      {
        seq: 2,
        requestId: entry.requestId,
        accountId: "acc-1",
        keyId: "key00001",
        plan: "pro@2026",
        model: "tiny",
        endpoint: "/v1/chat/completions",
        day: DAY,
        at: NOON,
        kind: "settle",
        units: 1,
        outcome: "complete",
        tokensIn: 100,
        tokensOut: 20,
        waitedMs: 2,
        firstTokenMs: 30,
        durationMs: 400,
        reason: null,
      },
    ],
    hasMore: false,
  });
  expect([ledger.settled("acc-1", DAY), ledger.settledByKey("key00001", DAY), ledger.settled("acc-2", DAY)]).toEqual([
    1, 1, 0,
  ]);
  await ledger.close();
});

test("settling twice counts once; void after settled and settled after void change nothing", async () => {
  const ledger = await openLedger({ home: newHome(), now });
  const [one, two] = [entryOf(), entryOf()];
  ledger.reserve(one);
  ledger.reserve(one);
  ledger.reserve(two);
  ledger.void(two.requestId, "engine_failed");
  await Promise.all([ledger.settle(one.requestId, DONE), ledger.settle(one.requestId, DONE)]);
  await ledger.settle(one.requestId, DONE);
  ledger.void(one.requestId, "engine_failed");
  // Bun's `rejects` holds the event loop, and with it the thread's answer.
  const refused = (requestId: string) => ledger.settle(requestId, DONE).catch((error: Error) => error.message);
  expect(await refused(two.requestId)).toContain("is void");
  expect(await refused(newId("req_"))).toContain("never reserved");
  await ledger.flush();
  expect(ledger.settled("acc-1", DAY)).toBe(1);
  expect(await ledger.usage.totals({})).toEqual({ requests: 1, units: 1, tokensIn: 100, tokensOut: 20 });
  const { rows } = (await ledger.usage.rows({}, { limit: 9 }))!;
  expect(rows.map(({ kind, outcome, units }) => [kind, outcome, units])).toEqual([
    ["settle", "complete", 1],
    ["void", "engine_failed", 0],
  ]);
  await ledger.close();
});

test("the schema itself lets no request end twice", async () => {
  const home = newHome();
  const ledger = await openLedger({ home, now });
  const entry = entryOf();
  ledger.reserve(entry);
  await ledger.settle(entry.requestId, DONE);
  await ledger.close();
  const db = new Database(join(home, "ledger.db"));
  const again = (kind: number) =>
    db.run(`INSERT INTO ledger_event (request_id, kind, account, source, day, units, at, epoch)
      SELECT request_id, ${kind}, account, source, day, units, at, epoch FROM ledger_event WHERE kind = 1`);
  expect(() => again(1)).toThrow("UNIQUE");
  expect(() => again(2)).toThrow("UNIQUE");
  expect(() => again(0)).toThrow("UNIQUE");
  db.close();
});

test("what was reserved and not ended is void as lost after the next start; today's counts are as they were", async () => {
  const home = newHome();
  const child = await crashAfter(home, 3, 2);
  expect(child).toBe("settled 3");
  const ledger = await openLedger({ home, now });
  expect(ledger.lost).toBe(2);
  expect([ledger.settled("acc-1", DAY), ledger.settledByKey("key00001", DAY)]).toEqual([3, 3]);
  const { rows } = (await ledger.usage.rows({}, { limit: 100 }))!;
  expect(rows.filter(({ outcome }) => outcome === "lost")).toHaveLength(2);
  expect(rows).toHaveLength(5);
  expect(await ledger.findAnswer("acc-1", "open-0")).toBeNull();
  await ledger.close();
  const again = await openLedger({ home, now });
  expect(again.lost).toBe(0);
  await again.close();
});

/** A process of its own that settles, leaves some open, and is killed. */
async function crashAfter(home: string, settled: number, open: number): Promise<string> {
  const command = [process.execPath, join(import.meta.dir, "test-crash.ts"), home, String(settled), String(open)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  child.kill("SIGKILL");
  await child.exited;
  return new TextDecoder().decode(value).trim();
}

test("an answer is found under its key for a day, byte for byte; a key that is void is free again", async () => {
  let at = NOON;
  const ledger = await openLedger({ home: newHome(), now: () => at });
  const keyed = () => entryOf({ idempotencyKey: "k", bodyHash: "h", at });
  const [lost, kept, other] = [keyed(), keyed(), keyed()];
  expect(await ledger.findAnswer("acc-1", "k")).toBeNull();
  ledger.reserve(lost);
  await ledger.flush();
  expect(await ledger.findAnswer("acc-1", "k")).toEqual({ bodyHash: "h", answer: null });
  ledger.void(lost.requestId, "engine_failed");
  ledger.reserve(kept);
  await ledger.settle(kept.requestId, DONE, ANSWER);
  expect(await ledger.findAnswer("acc-1", "k")).toEqual({ bodyHash: "h", answer: ANSWER });
  expect(await ledger.findAnswer("acc-2", "k")).toBeNull();
  ledger.reserve(other);
  await ledger.settle(other.requestId, DONE, { ...ANSWER, status: 201 });
  expect((await ledger.findAnswer("acc-1", "k"))?.answer?.status).toBe(200);
  at += 24 * 3_600_000;
  expect(await ledger.findAnswer("acc-1", "k")).toBeNull();
  await ledger.close();
});

test("answers are thrown away after their day", async () => {
  const home = newHome();
  let at = NOON;
  const ledger = await openLedger({ home, now: () => at });
  for (let index = 0; index < 700; index++) {
    const entry = entryOf({ idempotencyKey: `k${index}`, bodyHash: "h" });
    ledger.reserve(entry);
    void ledger.settle(entry.requestId, DONE, ANSWER);
  }
  await ledger.flush();
  at += 25 * 3_600_000;
  for (let commits = 0; commits < 2; commits++) {
    ledger.reserve(entryOf({ at }));
    await ledger.flush();
  }
  await ledger.close();
  const db = new Database(join(home, "ledger.db"), { readonly: true });
  expect(db.query("SELECT count(*) AS n FROM idempotency").get()).toEqual({ n: 0 });
  db.close();
});

test("a clock that steps back reopens no day, not even over a restart; one that goes on opens the next", async () => {
  const home = newHome();
  let at = Date.parse("2026-11-22T00:00:01Z");
  let ledger = await openLedger({ home, now: () => at });
  const first = entryOf({ day: "2026-11-22", at });
  ledger.reserve(first);
  await ledger.settle(first.requestId, DONE);
  at -= 3_600_000;
  expect(ledger.day()).toBe("2026-11-22");
  const late = entryOf({ day: "2026-11-21", at });
  ledger.reserve(late);
  await ledger.settle(late.requestId, DONE);
  expect(ledger.settled("acc-1", "2026-11-21")).toBe(2);
  await ledger.close();
  ledger = await openLedger({ home, now: () => at });
  expect(ledger.day()).toBe("2026-11-22");
  expect(ledger.settled("acc-1", "2026-11-21")).toBe(2);
  at += 26 * 3_600_000;
  expect(ledger.day()).toBe("2026-11-23");
  expect(ledger.settled("acc-1", "2026-11-23")).toBe(0);
  const overnight = entryOf({ day: "2026-11-22" });
  ledger.reserve(overnight);
  ledger.reserve(entryOf({ day: "2026-11-23" }));
  await ledger.settle(overnight.requestId, DONE);
  expect(ledger.settled("acc-1", "2026-11-23")).toBe(0);
  expect((await ledger.usage.totals({ to: "2026-11-22" })).units).toBe(3);
  await ledger.close();
});

test("a correction is a row of its own, with its reason", async () => {
  const ledger = await openLedger({ home: newHome(), now });
  const entry = entryOf({ units: 5 });
  ledger.reserve(entry);
  await ledger.settle(entry.requestId, DONE);
  await ledger.adjust("acc-1", -2, "an answer was of no use");
  expect(ledger.settled("acc-1", DAY)).toBe(3);
  expect(ledger.settledByKey("key00001", DAY)).toBe(5);
  expect(await ledger.usage.totals({ accountId: "acc-1" })).toMatchObject({ requests: 1, units: 3 });
  const { rows } = (await ledger.usage.rows({}, { limit: 1 }))!;
  expect(rows[0]).toMatchObject({ kind: "adjust", units: -2, reason: "an answer was of no use", model: "" });
  await expect(ledger.adjust("acc-1", 0.5, "half")).rejects.toThrow("whole");
  await ledger.close();
});

test("rows come in pages without gaps; groups add up", async () => {
  const ledger = await openLedger({ home: newHome(), now });
  const entries = Array.from({ length: 25 }, (_, index) =>
    entryOf({
      model: index % 2 ? "a" : "b",
      keyId: index % 3 ? "key00001" : "key00002",
      day: `2026-11-${10 + Math.floor(index / 5)}`,
    }),
  );
  const foreign = entryOf({ accountId: "acc-2" });
  for (const entry of [...entries, foreign]) ledger.reserve(entry);
  await Promise.all([...entries, foreign].map(({ requestId }) => ledger.settle(requestId, DONE)));
  const filter = { accountId: "acc-1" };
  const seen: string[] = [];
  for (let after: number | undefined; ; ) {
    const page = (await ledger.usage.rows(filter, { limit: 4, after }))!;
    seen.push(...page.rows.map(({ requestId }) => requestId));
    after = page.rows.at(-1)?.seq;
    if (!page.hasMore) break;
  }
  const all = (await ledger.usage.rows(filter, { limit: 1000 }))!.rows;
  expect(seen).toEqual(all.map(({ requestId }) => requestId));
  expect(new Set(seen)).toEqual(new Set(entries.map(({ requestId }) => requestId)));
  expect(all.map(({ day }) => day)).toEqual(
    all
      .map(({ day }) => day)
      .sort()
      .reverse(),
  );
  for (const group of ["key", "model", "day", "account"] as const) {
    const groups = await ledger.usage.groups(filter, group);
    expect(groups.reduce((sum, { units }) => sum + units, 0)).toBe(25);
  }
  expect(await ledger.usage.groups({ ...filter, model: "a", from: "2026-11-11", to: "2026-11-11" }, "day")).toEqual([
    { name: "2026-11-11", requests: 3, units: 3, tokensIn: 300, tokensOut: 60 },
  ]);
  expect(await ledger.usage.cursorOf("acc-2", seen[0]!)).toBeNull();
  expect(await ledger.usage.rows(filter, { limit: 1, after: 9999 })).toBeNull();
  await ledger.close();
});

test("rebuild finds a sum that was tampered with, and repairs it; sums that are right stay", async () => {
  const home = newHome();
  expect(rebuildUsage(home)).toBeNull();
  const ledger = await openLedger({ home, now });
  for (const model of ["a", "b", "b"]) {
    const entry = entryOf({ model });
    ledger.reserve(entry);
    await ledger.settle(entry.requestId, DONE);
  }
  expect(rebuildUsage(home)).toEqual([]);
  const db = new Database(join(home, "ledger.db"));
  db.run("UPDATE usage_day SET units = units + 40 WHERE requests = 2");
  db.run("DELETE FROM usage_day WHERE requests = 1");
  db.close();
  expect(rebuildUsage(home)).toEqual([
    { kind: "sum", where: "account acc-1, key key00001, model a", day: DAY, stored: 0, events: 1 },
    { kind: "sum", where: "account acc-1, key key00001, model b", day: DAY, stored: 42, events: 2 },
  ]);
  expect(rebuildUsage(home)).toEqual([]);
  expect(await ledger.usage.totals({})).toMatchObject({ requests: 3, units: 3 });
  await ledger.close();
});

test("a file that is no ledger, or one of a newer version, is named in a line for the operator", async () => {
  const home = newHome();
  writeFileSync(join(home, "ledger.db"), "this is no database, however long it is made to look like one ".repeat(99));
  const said = () => openLedger({ home, now }).then(String, ({ name, message }: Error) => `${name}: ${message}`);
  expect(await said()).toContain("HomeError: The home");
  expect(() => openUsage(home)).toThrow("damaged database");
  rmSync(join(home, "ledger.db"));
  await (await openLedger({ home, now })).close();
  const db = new Database(join(home, "ledger.db"));
  db.run("PRAGMA user_version = 99");
  db.close();
  expect(await said()).toContain("newer version of Oxbow");
  expect(() => openUsage(home)).toThrow("newer version of Oxbow");
});

test("a count that is none stops nobody else's request, and the day can still be added up", async () => {
  const home = newHome();
  const ledger = await openLedger({ home, now });
  const wrong = [1e300, -5, Number.NaN, Number.POSITIVE_INFINITY, 1e18, 100];
  const entries = wrong.map(() => entryOf());
  for (const entry of entries) ledger.reserve(entry);
  await Promise.all(
    entries.map(({ requestId }, index) =>
      ledger.settle(requestId, { ...DONE, tokensIn: wrong[index]!, tokensOut: wrong[index]! }),
    ),
  );
  expect(ledger.healthy()).toBe(true);
  const totals = await ledger.usage.totals({});
  expect(totals.requests).toBe(wrong.length);
  expect(totals.tokensIn).toBe(2_000_000_100);
  await ledger.close();
});
