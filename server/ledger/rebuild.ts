// The sums of the days, made again from the events and held against what is in the file. Both come from one snapshot; the
// file is written to, and then for as long as one pass over the events takes, only when they differ.

import type { Database } from "bun:sqlite";
import { dayText } from "./day.ts";
import { COUNTED, FOLD, SUMS } from "./fold.ts";
import { openToRead, openToWrite, unpackId } from "./schema.ts";

export interface Difference {
  /** `open`: a request that is reserved, has not ended, and is not known as open, or the reverse. */
  kind: "sum" | "open";
  /** In words: which account, key and model; or which request. */
  where: string;
  day: string;
  /** Units; requests where units agree. */
  stored: number;
  events: number;
}

/**
 * Compares, and repairs when there is something to repair. A server that runs goes on; it takes repaired sums of today into
 * account with its next start.
 * @returns null when there is no ledger in the home
 * @throws HomeError, or what SQLite says
 */
export function rebuildUsage(home: string): Difference[] | null {
  const reader = openToRead(home);
  if (!reader) return null;
  const differences = compare(reader);
  reader.close();
  if (differences.length > 0) repair(home);
  return differences;
}

const TRUE_SUMS = `SELECT * FROM (${SUMS} WHERE seq <= (SELECT seq FROM fold_mark WHERE name = 'usage_day') AND ${COUNTED})`;
const STORED_SUMS = "SELECT day, source, requests, units, tokens_in, tokens_out FROM usage_day";

const TRUE_OPEN = `SELECT request_id, account, source, day, units FROM ledger_event AS r WHERE kind = 0 AND NOT EXISTS
  (SELECT 1 FROM ledger_event AS e WHERE e.request_id = r.request_id AND e.kind IN (1, 2))`;
const STORED_OPEN = "SELECT request_id, account, source, day, units FROM open_request";

interface SumRow {
  account: string;
  key: string;
  model: string;
  day: number;
  stored: number | null;
  events: number | null;
  storedRequests: number | null;
  eventRequests: number | null;
}

function compare(db: Database): Difference[] {
  const work = db.transaction(() => {
    const sums = db
      .query<SumRow, []>(
        `WITH events AS MATERIALIZED (${TRUE_SUMS}),
           places AS (SELECT day, source FROM (SELECT * FROM events EXCEPT ${STORED_SUMS})
                      UNION SELECT day, source FROM (${STORED_SUMS} EXCEPT SELECT * FROM events))
         SELECT account.name AS account, s.key, s.model, p.day, u.units AS stored, e.units AS events,
           u.requests AS storedRequests, e.requests AS eventRequests
         FROM places AS p LEFT JOIN usage_day AS u USING (day, source) LEFT JOIN events AS e USING (day, source)
           LEFT JOIN source AS s ON s.id = p.source LEFT JOIN account ON account.id = s.account ORDER BY p.day, 1, 2, 3`,
      )
      .all();
    const open = db
      .query<{ request_id: Uint8Array | string; day: number; stored: number }, []>(
        `SELECT request_id, day, 0 AS stored FROM (${TRUE_OPEN} EXCEPT ${STORED_OPEN})
         UNION ALL SELECT request_id, day, 1 FROM (${STORED_OPEN} EXCEPT ${TRUE_OPEN})`,
      )
      .all();
    return { sums, open };
  });
  const { sums, open } = work();
  return [
    ...sums.map(sumDifference),
    ...open.map(({ request_id, day, stored }) => ({
      kind: "open" as const,
      where: unpackId(request_id),
      day: dayText(day),
      stored,
      events: 1 - stored,
    })),
  ];
}

function sumDifference(row: SumRow): Difference {
  const byUnits = row.stored !== row.events;
  return {
    kind: "sum",
    where: `account ${row.account || "-"}, key ${row.key || "-"}, model ${row.model || "-"}`,
    day: dayText(row.day),
    stored: (byUnits ? row.stored : row.storedRequests) ?? 0,
    events: (byUnits ? row.events : row.eventRequests) ?? 0,
  };
}

function repair(home: string): void {
  const db = openToWrite(home);
  try {
    const work = db.transaction(() => {
      db.run("DELETE FROM usage_day");
      db.run("UPDATE fold_mark SET seq = 0 WHERE name = 'usage_day'");
      for (const step of FOLD) db.run(step);
      db.run("DELETE FROM open_request");
      db.run(`INSERT INTO open_request ${TRUE_OPEN}`);
    });
    work.immediate();
  } finally {
    db.close();
  }
}
