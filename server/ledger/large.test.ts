// How the ledger does when it is large and when it is busy: figures are printed, and only what cannot be the machine's fault is
// held to a bound.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@oxbow/contract";
import { FOLD } from "./fold.ts";
import { openLedger, openUsage, rebuildUsage } from "./ledger.ts";

setDefaultTimeout(120_000);

const DAY = "2026-11-21";
const now = () => Date.parse(`${DAY}T12:00:00Z`);
const DONE = {
  outcome: "complete",
  tokensIn: 1200,
  tokensOut: 350,
  waitedMs: 12,
  firstTokenMs: 150,
  durationMs: 3000,
} as const;
const SETTLES = 10_000;
const REQUESTS = 500_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-large-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const newHome = () => mkdtempSync(join(folder, "home-"));
const print = (text: string) => process.stderr.write(`  ledger: ${text}\n`);
const request = (index: number) => {
  const names = {
    accountId: `account-${index % 20}`,
    keyId: `key${index % 60}`,
    plan: "pro@2026",
    model: `m${index % 7}`,
  };
  return { requestId: newId("req_"), ...names, endpoint: "/v1/chat/completions", day: DAY, units: 1, at: now() };
};

test("ten thousand settlements at once are all counted, in few commits; a row is about 100 bytes", async () => {
  const home = newHome();
  const ledger = await openLedger({ home, now });
  const started = performance.now();
  await Promise.all(
    Array.from({ length: SETTLES }, (_, index) => {
      const entry = request(index);
      ledger.reserve(entry);
      return ledger.settle(entry.requestId, DONE);
    }),
  );
  const perSecond = Math.round((SETTLES / (performance.now() - started)) * 1000);
  expect((await ledger.usage.totals({})).units).toBe(SETTLES);
  await ledger.close();
  const bytes = statSync(join(home, "ledger.db")).size / (2 * SETTLES);
  print(`${perSecond} settlements/s with ${SETTLES} in flight; ${bytes.toFixed(1)} bytes a row`);
  expect(bytes).toBeLessThan(120);
});

test("one after the other and 64 at a time: every settlement is counted", async () => {
  const ledger = await openLedger({ home: newHome(), now });
  let settled = 0;
  for (const [parallel, count] of [
    [1, 300],
    [64, 6_400],
  ] as const) {
    let left: number = count;
    const started = performance.now();
    const caller = async () => {
      while (left-- > 0) {
        const entry = request(left);
        ledger.reserve(entry);
        await ledger.settle(entry.requestId, DONE);
      }
    };
    await Promise.all(Array.from({ length: parallel }, caller));
    settled += count;
    print(`${Math.round((count / (performance.now() - started)) * 1000)} settlements/s with ${parallel} in flight`);
  }
  expect((await ledger.usage.totals({})).units).toBe(settled);
  await ledger.close();
});

test("over a million rows: recovery, a day's view, a page, and the comparison of sums", async () => {
  const home = newHome();
  const first = await openLedger({ home, now });
  for (let index = 0; index < 420; index++) first.reserve(request(index));
  await first.flush();
  await first.close();
  grow(home);
  const took = async <T>(what: string, work: () => T | Promise<T>): Promise<[T, number]> => {
    const started = performance.now();
    const result = await work();
    const ms = performance.now() - started;
    print(`${what}: ${ms.toFixed(1)} ms`);
    return [result, ms];
  };
  const [ledger, recoveryMs] = await took("recovery over a million rows", () => openLedger({ home, now }));
  expect(ledger.lost).toBe(1420);
  expect(recoveryMs).toBeLessThan(2_000);
  await ledger.close();
  const usage = openUsage(home)!;
  const one = { from: DAY, to: DAY };
  const [groups, viewMs] = await took("a day's view by model over a million rows", () => usage.groups(one, "model"));
  expect(groups.reduce((sum, { units }) => sum + units, 0)).toBe(REQUESTS);
  expect(viewMs).toBeLessThan(500);
  const [page, pageMs] = await took("a page of 1000 rows of one account of twenty", () =>
    usage.rows({ accountId: "account-3" }, { limit: 1000 }),
  );
  expect(page!.rows).toHaveLength(1000);
  expect(pageMs).toBeLessThan(500);
  const [deep] = await took("a page from its middle", () =>
    usage.rows({ accountId: "account-3", ...one }, { limit: 1000, after: page!.rows.at(-1)!.seq - REQUESTS }),
  );
  expect(deep!.rows).toHaveLength(1000);
  usage.close();
  const [differences] = await took("rebuild, nothing to repair", () => rebuildUsage(home));
  expect(differences).toEqual([]);
});

/** A million events, without saying each to the ledger; a thousand requests stay open. */
function grow(home: string): void {
  const db = new Database(join(home, "ledger.db"));
  const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${REQUESTS})`;
  const columns = "seq, request_id, kind, account, source, day, units, at, epoch, outcome, tokens_in, tokens_out";
  const places = db.query("SELECT min(id) AS low, count(*) AS n FROM source").get() as { low: number; n: number };
  const source = `(${places.low} + i % ${places.n})`;
  const account = `(SELECT account FROM source WHERE id = ${source})`;
  const day = "(SELECT day FROM last_day)";
  db.transaction(() => {
    // One after the other as requests are: reserved, and settled some time later. Ids without order.
    db.run("CREATE TEMP TABLE ids (i INTEGER PRIMARY KEY, id BLOB)");
    db.run(`${many} INSERT INTO ids SELECT i, randomblob(16) FROM n`);
    db.run(`INSERT INTO ledger_event (${columns}) SELECT 1000 + 2 * i, id, 0, ${account}, ${source}, ${day}, 1, ${now()}, 1,
      NULL, NULL, NULL FROM ids`);
    db.run(`INSERT INTO ledger_event (${columns}) SELECT 1001 + 2 * i, id, 1, ${account}, ${source}, ${day}, 1, ${now()}, 1,
      0, 1200, 350 FROM ids`);
    db.run(`INSERT INTO ledger_event (${columns}) SELECT 2000000 + i, randomblob(16), 0, ${account}, ${source}, ${day}, 1,
      ${now()}, 1, NULL, NULL, NULL FROM ids WHERE i <= 1000`);
    db.run(
      `INSERT INTO open_request SELECT request_id, account, source, day, units FROM ledger_event WHERE seq > 2000000`,
    );
    for (const step of FOLD) db.run(step);
  })();
  db.close();
}
