// Whatever is said in whatever order, and whenever the process ends: each request ends once, what was acknowledged is on disk,
// and the counts are the events'.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@oxbow/contract";
import fc from "fast-check";
import { dayOf, type Ledger, openLedger, rebuildUsage } from "./ledger.ts";

setDefaultTimeout(120_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-crash-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
const newHome = () => mkdtempSync(join(folder, "home-"));

const NOON = Date.parse("2026-11-21T12:00:00Z");
const DONE = { outcome: "complete", tokensIn: 3, tokensOut: 2, waitedMs: 0, firstTokenMs: 1, durationMs: 2 } as const;

/** What is done next; `at` picks one of the requests so far. */
type Step =
  | { do: "reserve"; account: number; units: number }
  | { do: "settle" | "void" | "await"; at: number }
  | { do: "adjust"; account: number; units: number }
  | { do: "clock"; hours: number }
  | { do: "flush" | "crash" | "reopen" };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("reserve"), account: fc.nat(2), units: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom("settle", "settle", "void", "await"), at: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("adjust"), account: fc.nat(2), units: fc.integer({ min: -2, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("clock"), hours: fc.integer({ min: -30, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("flush", "crash", "reopen") }) },
) as fc.Arbitrary<Step>;

interface Asked {
  id: string;
  units: number;
  settling: Promise<void> | null;
  /** It was said to be on disk. */
  acknowledged: boolean;
}

/** The files as they are at this moment: what a process leaves that is killed now. */
function copyOf(home: string): string {
  const copy = newHome();
  // The file before its log: what is committed in between is in the log alone.
  for (const name of ["ledger.db", "ledger.db-wal"]) {
    if (existsSync(join(home, name))) copyFileSync(join(home, name), join(copy, name));
  }
  return copy;
}

interface Event {
  id: string;
  kind: number;
  account: string;
  day: number;
  units: number;
}

function eventsIn(home: string): Event[] {
  const db = new Database(join(home, "ledger.db"), { readonly: true });
  const sql = `SELECT CASE typeof(request_id) WHEN 'blob' THEN 'req_' || lower(hex(request_id)) ELSE request_id END AS id,
    kind, name AS account, day, units FROM ledger_event AS e JOIN account AS a ON a.id = e.account`;
  const events = db.query<Event, []>(sql).all();
  expect(db.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  db.close();
  return events;
}

/** @param whole nothing runs: what is reserved has ended */
async function check(home: string, ledger: Ledger, asked: Asked[], whole: boolean): Promise<void> {
  const events = eventsIn(home);
  const ends = Map.groupBy(
    events.filter(({ kind }) => kind === 1 || kind === 2),
    ({ id }) => id,
  );
  for (const each of asked) {
    const ended = ends.get(each.id) ?? [];
    expect(ended.length).toBeLessThanOrEqual(1);
    if (each.acknowledged) expect(ended).toMatchObject([{ kind: 1, units: each.units }]);
    if (!each.settling) expect(ended.filter(({ kind }) => kind === 1)).toEqual([]);
  }
  if (whole) for (const { id } of events.filter(({ kind }) => kind === 0)) expect(ends.get(id)).toHaveLength(1);
  const last = Math.max(0, ...events.map(({ day }) => day));
  const counted = events.filter(({ kind }) => kind === 1 || kind === 3);
  for (const account of ["a0", "a1", "a2"]) {
    const units = counted.filter((event) => event.account === account && event.day === last);
    const sum = units.reduce((total, event) => total + event.units, 0);
    expect(ledger.settled(account, "1970-01-01")).toBe(sum);
  }
  const total = counted.reduce((sum, { units }) => sum + units, 0);
  expect((await ledger.usage.totals({})).units).toBe(total);
  expect(rebuildUsage(home)).toEqual([]);
}

async function play(program: Step[]): Promise<void> {
  let home = newHome();
  let at = NOON;
  const now = () => at;
  let ledger = await openLedger({ home, now });
  const asked: Asked[] = [];
  const ended = new Set<Asked>();
  const drained: Ledger[] = [];
  for (const step of program) {
    const one = "at" in step ? asked[asked.length - 1 - (step.at % (asked.length || 1))] : undefined;
    if (step.do === "reserve") {
      const id = newId("req_");
      const { account, units } = step;
      const names = { keyId: `k${account}`, plan: "p@1", model: "m", endpoint: "/v1/chat/completions" };
      ledger.reserve({ requestId: id, accountId: `a${account}`, ...names, day: dayOf(at), units, at });
      asked.push({ id, units, settling: null, acknowledged: false });
    } else if (step.do === "settle" && one) {
      const settling = ledger.settle(one.id, DONE).then(
        () => {
          one.acknowledged = true;
        },
        () => {}, // void before, or open in a run that crashed: what is on disk is checked
      );
      if (!ended.has(one)) one.settling ??= settling;
      ended.add(one);
      await (step.at % 2 ? settling : null);
    } else if (step.do === "void" && one) {
      ledger.void(one.id, "engine_failed");
      ended.add(one);
    } else if (step.do === "await") await one?.settling;
    else if (step.do === "adjust") await ledger.adjust(`a${step.account}`, step.units, "test");
    else if (step.do === "clock") at += step.hours * 3_600_000;
    else if (step.do === "flush") {
      await ledger.flush();
      await check(home, ledger, asked, false);
    } else if (step.do === "crash" || step.do === "reopen") {
      const known = asked.map(({ acknowledged }) => acknowledged);
      if (step.do === "crash") home = copyOf(home);
      // Only now: what the old run still acknowledges, after it was copied, is not in the copy.
      if (step.do === "crash") drained.push(ledger);
      else await ledger.close();
      for (const [index, each] of asked.entries()) {
        if (step.do === "crash" && !known[index]) asked[index] = { ...each, acknowledged: false };
        ended.add(asked[index]!);
      }
      ledger = await openLedger({ home, now });
      await check(home, ledger, asked, true);
    }
  }
  await ledger.flush();
  await check(home, ledger, asked, false);
  await ledger.close();
  for (const old of drained) await old.close();
}

test("each request ends once and acknowledged means on disk, in any order of events and crashes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 60 }), async (program) => play(program)),
    { numRuns: 40 },
  );
});

test("killed with -9 under load, again and again: nothing acknowledged is lost, nothing ends twice, the file is whole", async () => {
  const home = newHome();
  const acknowledged = new Set<string>();
  for (let kills = 0; kills < 6; kills++) {
    const main = join(import.meta.dir, "test-load.ts");
    const child = Bun.spawn([process.execPath, main, home], { stdout: "pipe", stderr: "inherit" });
    let text = "";
    const endMs = 30 + 40 * (kills % 4);
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (text === "") setTimeout(() => child.kill("SIGKILL"), endMs);
      text += part;
    }
    await child.exited;
    // A last line that was cut off says nothing.
    for (const id of text.slice(0, text.lastIndexOf("\n")).split("\n")) acknowledged.add(id);
  }
  expect(acknowledged.size).toBeGreaterThan(100);
  const started = performance.now();
  const ledger = await openLedger({ home, now: Date.now });
  expect(performance.now() - started).toBeLessThan(2_000);
  const events = eventsIn(home);
  const settled = events.filter(({ kind }) => kind === 1).map(({ id }) => id);
  const ends = events.filter(({ kind }) => kind === 1 || kind === 2);
  expect(new Set(settled).size).toBe(settled.length);
  expect(new Set(ends.map(({ id }) => id)).size).toBe(ends.length);
  expect(ends).toHaveLength(events.filter(({ kind }) => kind === 0).length);
  const onDisk = new Set(settled);
  expect([...acknowledged].filter((id) => !onDisk.has(id))).toEqual([]);
  expect(rebuildUsage(home)).toEqual([]);
  await ledger.close();
});
