// The ledger's reads, each on a snapshot of its own that no write waits for. Sums come from `usage_day`, so that a day's view
// costs the same over a thousand rows and over millions; single rows from the events, by account and day.

import type { Database, SQLQueryBindings } from "bun:sqlite";
import type { Outcome } from "@oxbow/contract";
import { dayNumber, dayText } from "./day.ts";
import type { StoredAnswer, UsageFilter, UsageGroup, UsageOf, UsagePage, UsageRow, UsageTotals } from "./entry.ts";
import { KIND, OUTCOME_CODE, packId, unpackId } from "./schema.ts";

export type Queries = ReturnType<typeof createQueries>;

/** Rows of a page, at most. */
export const PAGE_MAX = 1000;

export function createQueries(db: Database) {
  const all = <Row>(sql: string, params: SQLQueryBindings[]) => db.query<Row, SQLQueryBindings[]>(sql).all(...params);

  return {
    /** What was counted, in all. */
    totals(filter: UsageFilter): UsageTotals {
      const { where, params } = whereOf(filter);
      return all<UsageTotals>(`SELECT ${SUMS} FROM ${DAYS} ${where}`, params)[0]!;
    },

    /** What was counted, by `group`: the most first, days in their order. */
    groups(filter: UsageFilter, group: UsageGroup): UsageOf[] {
      const { where, params } = whereOf(filter);
      const order = group === "day" ? "1" : "units DESC, 1";
      const sql = `SELECT ${NAMES[group]} AS name, ${SUMS} FROM ${DAYS} ${where} GROUP BY 1 ORDER BY ${order}`;
      const rows = all<UsageOf & { name: string | number }>(sql, params);
      return group === "day" ? rows.map((row) => ({ ...row, name: dayText(Number(row.name)) })) : rows;
    },

    /**
     * Requests that have ended, and corrections, newest first: an account's by day and then by when they ended.
     * @param after `seq` of the row before the page
     * @param limit 1 to PAGE_MAX
     * @returns null when there is no row `after`
     */
    rows(filter: UsageFilter, { limit, after }: { limit: number; after?: number | undefined }): UsagePage | null {
      const { where, params } = whereOf(filter, "e");
      const ended = [where || "WHERE true", `e.kind > ${KIND.reserve}`];
      // Of all accounts there is no order by day at hand, but one by the end of the request.
      const byDay = filter.accountId !== undefined;
      const order = byDay ? "e.day DESC, e.seq DESC" : "e.seq DESC";
      if (after !== undefined) {
        const row = db.query<{ day: number }, [number]>("SELECT day FROM ledger_event WHERE seq = ?").get(after);
        if (!row) return null;
        ended.push(byDay ? "(e.day, e.seq) < (?, ?)" : "e.seq < ?");
        params.push(...(byDay ? [row.day, after] : [after]));
      }
      const most = Math.min(Math.max(1, limit), PAGE_MAX);
      const sql = `SELECT ${COLUMNS} FROM ${EVENTS} ${ended.join(" AND ")} ORDER BY ${order} LIMIT ?`;
      const found = all<EventRow>(sql, [...params, most + 1]);
      return { rows: found.slice(0, most).map(usageRowOf), hasMore: found.length > most };
    },

    /** Where a request's end stands among the account's rows; null when it has none. */
    cursorOf(accountId: string, requestId: string): number | null {
      const sql = `SELECT seq FROM ledger_event WHERE request_id = ? AND kind > ${KIND.reserve}
        AND account = (SELECT id FROM account WHERE name = ?)`;
      return all<{ seq: number }>(sql, [packId(requestId), accountId])[0]?.seq ?? null;
    },

    /** What was answered under an Idempotency-Key; `answer` null: not yet. @param at Unix milliseconds */
    findAnswer(accountId: string, key: string, at: number): { bodyHash: string; answer: StoredAnswer | null } | null {
      const sql = `SELECT body_hash, status, content_type, answer FROM idempotency
        WHERE account = (SELECT id FROM account WHERE name = ?) AND key = ? AND expires > ?`;
      const row = all<AnswerRow>(sql, [accountId, key, at])[0];
      if (!row) return null;
      const { status, content_type, answer } = row;
      const kept =
        status === null ? null : { status, contentType: content_type ?? "", bytes: answer ?? new Uint8Array() };
      return { bodyHash: row.body_hash, answer: kept };
    },

    /** The last day that anything was admitted on; null when nothing ever was. */
    lastDay(): string | null {
      const { day } = db.query<{ day: number }, []>("SELECT day FROM last_day").get()!;
      return day === 0 ? null : dayText(day);
    },
  };
}

const DAYS = "usage_day AS e CROSS JOIN source AS s ON s.id = e.source CROSS JOIN account AS a ON a.id = s.account";
const EVENTS =
  "ledger_event AS e CROSS JOIN source AS s ON s.id = e.source CROSS JOIN account AS a ON a.id = s.account";
const SUMS = `coalesce(sum(e.requests), 0) AS requests, coalesce(sum(e.units), 0) AS units,
  coalesce(sum(e.tokens_in), 0) AS tokensIn, coalesce(sum(e.tokens_out), 0) AS tokensOut`;
const NAMES: Record<UsageGroup, string> = { account: "a.name", key: "s.key", model: "s.model", day: "e.day" };
const COLUMNS = `e.seq, e.request_id, e.kind, e.day, e.units, e.at, e.outcome, e.tokens_in, e.tokens_out, e.waited_ms,
  e.first_token_ms, e.duration_ms, e.reason, s.key, s.plan, s.model, s.endpoint, a.name AS account`;

interface EventRow {
  seq: number;
  request_id: Uint8Array | string;
  kind: number;
  day: number;
  units: number;
  at: number;
  outcome: number | null;
  tokens_in: number | null;
  tokens_out: number | null;
  waited_ms: number | null;
  first_token_ms: number | null;
  duration_ms: number | null;
  reason: string | null;
  key: string;
  plan: string;
  model: string;
  endpoint: string;
  account: string;
}

interface AnswerRow {
  body_hash: string;
  status: number | null;
  content_type: string | null;
  answer: Uint8Array | null;
}

/** @param holder the table whose `account` is asked: events have one of their own, for the sake of its index */
function whereOf({ accountId, keyId, model, from, to }: UsageFilter, holder: "s" | "e" = "s") {
  const all: [string, SQLQueryBindings | undefined][] = [
    ["e.day >= ?", from === undefined ? undefined : dayNumber(from)],
    ["e.day <= ?", to === undefined ? undefined : dayNumber(to)],
    [`${holder}.account = (SELECT id FROM account WHERE name = ?)`, accountId],
    ["s.key = ?", keyId],
    ["s.model = ?", model],
  ];
  const given = all.filter(([, value]) => value !== undefined);
  const where = given.length === 0 ? "" : `WHERE ${given.map(([sql]) => sql).join(" AND ")}`;
  return { where, params: given.map(([, value]) => value!) };
}

const OUTCOMES = new Map(Object.entries(OUTCOME_CODE).map(([name, code]) => [code, name as Outcome]));
const KINDS = ["settle", "void", "adjust"] as const;

function usageRowOf(row: EventRow): UsageRow {
  return {
    seq: row.seq,
    requestId: unpackId(row.request_id),
    accountId: row.account,
    keyId: row.key,
    plan: row.plan,
    model: row.model,
    endpoint: row.endpoint,
    day: dayText(row.day),
    at: row.at,
    kind: KINDS[row.kind - 1]!,
    units: row.units,
    outcome: row.outcome === null ? null : (OUTCOMES.get(row.outcome) ?? null),
    tokensIn: row.tokens_in ?? 0,
    tokensOut: row.tokens_out ?? 0,
    waitedMs: row.waited_ms,
    firstTokenMs: row.first_token_ms,
    durationMs: row.duration_ms,
    reason: row.reason,
  };
}
