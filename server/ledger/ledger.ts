// What happened: one reservation and one end for each request that was let in, on disk before its last byte leaves. What is
// settled today is kept in memory; everything else is asked of the file. Prompts are never stored, and answers only for the
// day that a repeat under the same Idempotency-Key may ask for them.

import { isCounted, newId, type Outcome } from "@oxbow/contract";
import { createCounts } from "./counts.ts";
import { dayNumber, dayOf } from "./day.ts";
import type { LedgerEntry, Settled, StoredAnswer, UsageFilter, UsageGroup } from "./entry.ts";
import { LedgerUnavailable } from "./errors.ts";
import { RESULT } from "./events.ts";
import { createQueries, PAGE_MAX, type Queries } from "./queries.ts";
import { createReading } from "./reading.ts";
import { openToRead } from "./schema.ts";
import { startWriting } from "./writing.ts";

export { dayOf, isDay } from "./day.ts";
export type * from "./entry.ts";
export { forecast } from "./forecast.ts";
export { type Difference, rebuildUsage } from "./rebuild.ts";
export { LedgerUnavailable, PAGE_MAX };

export interface LedgerOptions {
  /** The folder of `ledger.db`; one server at a time holds it. */
  home: string;
  /** Unix milliseconds. */
  now: () => number;
  /** Names this run in the file, for who reads it later. */
  epoch?: string;
  /** How long a settlement waits for a disk that takes nothing before it is given up; milliseconds. */
  settleMsMax?: number;
  /** Between two attempts on such a disk; milliseconds. */
  retryMs?: number;
  /** A batch is on disk. @param ms since it was sent to the writer */
  onCommit?: (ms: number) => void;
}

export type Ledger = Awaited<ReturnType<typeof openLedger>>;

/**
 * Opens the ledger, and makes void what an earlier run left open.
 * @throws HomeError when the file cannot be used
 */
export async function openLedger(options: LedgerOptions) {
  const { home, now } = options;
  const writing = await startWriting({
    home,
    now,
    epoch: options.epoch ?? crypto.randomUUID(),
    settleMsMax: options.settleMsMax ?? 10_000,
    retryMs: options.retryMs ?? 500,
    onCommit: options.onCommit ?? (() => {}),
  });
  const reading = createReading(home);
  const counts = createCounts(writing.state);
  /** Reserved, and not known to have ended. */
  const open = new Map<string, LedgerEntry>();

  /** The day that counts now: UTC, and never one before the last day seen. */
  const day = () => counts.dayFor(dayOf(now()));

  return {
    /** Requests that an earlier run left open, now void. */
    lost: writing.state.lost,
    day,

    /**
     * A request was let in. Rides in the next commit.
     * @throws RangeError for units that are no whole number, or a day that is none
     */
    reserve(entry: LedgerEntry): void {
      checkUnits(entry.units, 0);
      dayNumber(entry.day); // throws for what is none
      const kept = { ...entry, day: counts.dayFor(entry.day), at: Math.round(entry.at) };
      counts.saw(kept.day);
      open.set(kept.requestId, kept);
      writing.put({ kind: "reserve", entry: kept });
    },

    /**
     * The request counts. On disk when this resolves; a second time changes nothing.
     * @param answer what a repeat under the entry's Idempotency-Key gets; without one the key may run again
     * @throws LedgerUnavailable when the disk takes nothing: then the request is void, now or when there is room again
     * @throws Error when it was never reserved, or is void already
     */
    async settle(requestId: string, result: Settled, answer?: StoredAnswer): Promise<void> {
      if (!isCounted(result.outcome)) throw new Error(`${result.outcome} does not count: it is void, never settled`);
      const op = { kind: "settle", requestId, result: whole(result), answer, at: now() } as const;
      const entry = open.get(requestId);
      open.delete(requestId);
      const written = await writing.putAndWait(op);
      if (written === RESULT.impossible) throw new Error("settled a request that was never reserved, or is void");
      // In the turn in which the caller hears of it: he stops counting it as in flight, and here it begins to count.
      if (entry && written === RESULT.done) counts.add(entry.day, entry.units, entry.accountId, entry.keyId);
    },

    /** The request does not count. Rides in the next commit; nothing happens when it has ended already. */
    void(requestId: string, outcome: Outcome): void {
      if (isCounted(outcome)) throw new Error(`${outcome} counts: it is settled, never void`);
      open.delete(requestId);
      writing.put({ kind: "void", requestId, outcome, at: now() });
    },

    /**
     * A correction, as a row of its own on the day that counts now.
     * @param units whole; below 0 gives units back
     * @param reason a sentence for whoever reads the row
     * @throws LedgerUnavailable, RangeError
     */
    async adjust(accountId: string, units: number, reason: string): Promise<void> {
      checkUnits(units, Number.MIN_SAFE_INTEGER);
      const on = day();
      counts.saw(on);
      const at = now();
      await writing.putAndWait({ kind: "adjust", id: newId("req_"), accountId, units, reason, day: on, at });
      counts.add(on, units, accountId, "");
    },

    /** Units of an account that are settled on a day, corrections included. In memory. */
    settled: counts.ofAccount,
    settledByKey: counts.ofKey,

    /** What was answered under a key in the last 24 hours. `answer` null: its request runs, or is being made void. */
    findAnswer: (accountId: string, idempotencyKey: string) =>
      reading.ask("findAnswer", accountId, idempotencyKey, now()),

    /** False while the disk takes nothing. Work that could not be counted should not be let in then. */
    healthy: writing.healthy,
    /** How much is under way. Requests stand in the order in which they were let in. */
    counts: () => {
      const oldest = open.values().next().value;
      const openMs = oldest === undefined ? null : Math.max(0, now() - oldest.at);
      return { healthy: writing.healthy(), waiting: writing.waiting(), open: open.size, openMs };
    },
    onHealth: writing.onHealth,

    /** The caller's questions about usage, off the thread that serves requests. See queries.ts. */
    usage: {
      totals: (filter: UsageFilter) => reading.ask("totals", filter),
      groups: (filter: UsageFilter, group: UsageGroup) => reading.ask("groups", filter, group),
      rows: (filter: UsageFilter, page: { limit: number; after?: number | undefined }) =>
        reading.ask("rows", filter, page),
      cursorOf: (accountId: string, requestId: string) => reading.ask("cursorOf", accountId, requestId),
    },

    /** Resolves when all that was said until now is on disk. On a disk that takes nothing, when it does again. */
    flush: writing.flush,
    /** Writes what waits and ends the threads. What the disk does not take then, the next start makes void. */
    async close(): Promise<void> {
      // The writer last: it alone can put the log into the file and take the side files away.
      await reading.close();
      await writing.close();
    },
  };
}

/**
 * Opens the ledger of a home for its questions alone, beside a server that may be writing.
 * @returns null when nothing was ever written there
 * @throws HomeError
 */
export function openUsage(home: string): (Queries & { close(): void }) | null {
  const db = openToRead(home);
  return db && { ...createQueries(db), close: () => db.close() };
}

function checkUnits(units: number, least: number): void {
  if (!Number.isSafeInteger(units) || units < least) throw new RangeError("units must be a whole number");
}

/** The file takes whole numbers only; a clock gives fractions. */
function whole({ outcome, ...result }: Settled): Settled {
  const { firstTokenMs } = result;
  return {
    outcome,
    tokensIn: count(result.tokensIn),
    tokensOut: count(result.tokensOut),
    waitedMs: Math.round(result.waitedMs),
    firstTokenMs: firstTokenMs === null ? null : Math.round(firstTokenMs),
    durationMs: Math.round(result.durationMs),
  };
}

/** Each can be written, and a year of them added up: a number that cannot would stop the batch, and everybody in it. */
const TOKENS_MAX = 1_000_000_000;

function count(tokens: number): number {
  return Number.isFinite(tokens) ? Math.min(Math.max(Math.round(tokens), 0), TOKENS_MAX) : 0;
}
