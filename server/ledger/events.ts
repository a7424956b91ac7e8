// The ledger's writes, a transaction for all that waits at once. Knows SQL and nothing of threads: the writer calls it.

import type { Database, SQLQueryBindings } from "bun:sqlite";
import type { Outcome } from "@oxbow/contract";
import { dayNumber, dayText } from "./day.ts";
import type { LedgerEntry, Settled, StoredAnswer } from "./entry.ts";
import { FOLD } from "./fold.ts";
import { KIND, OUTCOME_CODE, packId } from "./schema.ts";

/** One thing to write. Times are Unix milliseconds. */
export type Op =
  | { kind: "reserve"; entry: LedgerEntry }
  | ({ kind: "settle"; result: Settled; answer?: StoredAnswer | undefined } & End)
  | ({ kind: "void"; outcome: Outcome } & End)
  | { kind: "adjust"; id: string; accountId: string; units: number; reason: string; day: string; at: number };

interface End {
  requestId: string;
  /** Its reservation, when that has not been written yet. */
  entry?: LedgerEntry | undefined;
  at: number;
}

/** What became of an op: only settlements can end in more than one way. */
export const RESULT = { done: 0, again: 1, impossible: 2 } as const;

/** What the memory of today's counts starts with. */
export interface State {
  /** The last day that anything was admitted on; the empty text when nothing ever was. */
  lastDay: string;
  counts: { accountId: string; keyId: string; units: number }[];
  /** Requests that the crash of an earlier run left open, now void. */
  lost: number;
}

const DAY_MS = 86_400_000;
/** How long an answer is kept for a repeat. */
const ANSWER_MS = DAY_MS;
const PURGE_MS = 60_000;
const PURGE_ROWS = 500;
/** Rows of `source` that stay in memory. */
const SOURCES_MAX = 100_000;

type Names = Pick<LedgerEntry, "accountId" | "keyId" | "plan" | "model" | "endpoint">;
type Open = { account: number; source: number; day: number; units: number };
type Param = SQLQueryBindings;

export function createEvents(db: Database) {
  const run = (sql: string) => {
    const statement = db.query<unknown, Param[]>(sql);
    return (...params: Param[]) => statement.run(...params).changes;
  };
  const get = <Row>(sql: string) => {
    const statement = db.query<Row, Param[]>(sql);
    return (...params: Param[]) => statement.get(...params);
  };
  const append = run(`INSERT INTO ledger_event (request_id, kind, account, source, day, units, at, epoch, outcome,
    tokens_in, tokens_out, waited_ms, first_token_ms, duration_ms, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`);
  const openRequest = run("INSERT INTO open_request VALUES (?, ?, ?, ?, ?)");
  const closeRequest = get<Open>("DELETE FROM open_request WHERE request_id = ? RETURNING account, source, day, units");
  const isSettled = get<unknown>(`SELECT 1 FROM ledger_event WHERE request_id = ? AND kind = ${KIND.settle}`);
  // A key whose request is void or out of date may be used again. An answer that stands is never replaced.
  const claimKey = run(`INSERT INTO idempotency (account, key, body_hash, request_id, expires) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (account, key) DO UPDATE SET body_hash = excluded.body_hash, request_id = excluded.request_id,
    status = NULL, content_type = NULL, answer = NULL, expires = excluded.expires
    WHERE status IS NULL OR expires <= ?`);
  const keepAnswer = run(
    "UPDATE idempotency SET status = ?, content_type = ?, answer = ?, expires = ? WHERE request_id = ?",
  );
  const freeKey = run("DELETE FROM idempotency WHERE request_id = ? AND status IS NULL");
  const purge = run(`DELETE FROM idempotency WHERE rowid IN
    (SELECT rowid FROM idempotency WHERE expires <= ? AND status IS NOT NULL LIMIT ${PURGE_ROWS})`);
  const seeDay = run("UPDATE last_day SET day = ? WHERE day < ?");
  const [fold, markFolded] = FOLD.map(run) as [() => number, () => number];
  const probe = [run("REPLACE INTO probe VALUES (1, zeroblob(65536))"), run("DELETE FROM probe")] as const;

  const begin = run("BEGIN IMMEDIATE");
  const end = run("COMMIT");
  const accounts = new Map<string, number>();
  const sources = new Map<string, number>();
  /** Reserved in this transaction and not ended in it: what ends in the batch that it came with is never looked up. */
  const fresh = new Map<string, Open & { id: Uint8Array | string }>();
  let epoch = 0;
  let lastDay = 0;
  let purgedAt = 0;

  /** All or nothing. What was looked up in a transaction that failed may not exist. */
  function transaction<T>(work: () => T): T {
    try {
      begin();
      const result = work();
      end();
      return result;
    } catch (error) {
      accounts.clear();
      sources.clear();
      fresh.clear();
      lastDay = 0;
      if (db.inTransaction) db.run("ROLLBACK");
      throw error;
    }
  }

  const addAccount = get<{ id: number }>(
    "INSERT INTO account (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
  );
  function accountOf(name: string): number {
    const known = accounts.get(name);
    if (known !== undefined) return known;
    const { id } = addAccount(name)!;
    if (accounts.size >= SOURCES_MAX) accounts.clear();
    accounts.set(name, id);
    return id;
  }

  const addSource = get<{ id: number }>(`INSERT INTO source (account, key, plan, model, endpoint) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (account, key, plan, model, endpoint) DO UPDATE SET key = key RETURNING id`);
  function sourceOf(account: number, { keyId, plan, model, endpoint }: Names): number {
    const name = `${account}\n${keyId}\n${plan}\n${model}\n${endpoint}`;
    const known = sources.get(name);
    if (known !== undefined) return known;
    const { id } = addSource(account, keyId, plan, model, endpoint)!;
    if (sources.size >= SOURCES_MAX) sources.clear();
    sources.set(name, id);
    return id;
  }

  function sawDay(day: number): void {
    if (day <= lastDay) return;
    lastDay = day;
    seeDay(day, day);
  }

  function reserve(entry: LedgerEntry): void {
    const id = packId(entry.requestId);
    const account = accountOf(entry.accountId);
    const source = sourceOf(account, entry);
    const day = dayNumber(entry.day);
    const { units, at } = entry;
    sawDay(day);
    if (append(id, KIND.reserve, account, source, day, units, at, epoch, ...NO_RESULT) === 0) return;
    fresh.set(entry.requestId, { id, account, source, day, units });
    if (entry.idempotencyKey === undefined) return;
    claimKey(account, entry.idempotencyKey, entry.bodyHash ?? "", id, at + ANSWER_MS, at);
  }

  function settle({ requestId, result, answer, at }: Op & { kind: "settle" }): number {
    const id = packId(requestId);
    const open = close(requestId, id);
    if (!open) return isSettled(id) ? RESULT.again : RESULT.impossible;
    const { account, source, day, units } = open;
    const { outcome, tokensIn, tokensOut, waitedMs, firstTokenMs, durationMs } = result;
    const ended = [OUTCOME_CODE[outcome], tokensIn, tokensOut, waitedMs, firstTokenMs, durationMs, null];
    append(id, KIND.settle, account, source, day, units, at, epoch, ...ended);
    if (answer) keepAnswer(answer.status, answer.contentType, answer.bytes, at + ANSWER_MS, id);
    else freeKey(id);
    return RESULT.done;
  }

  /** The reservation that ends. Null: there is none, or it has ended already. */
  function close(requestId: string, id: Uint8Array | string): Open | null {
    const open = fresh.get(requestId);
    if (!open) return closeRequest(id);
    fresh.delete(requestId);
    return open;
  }

  function makeVoid(id: Uint8Array | string, open: Open | null, outcome: Outcome, at: number): void {
    if (!open) return; // it has ended already: the first end stands
    append(id, KIND.void, open.account, open.source, open.day, 0, at, epoch, OUTCOME_CODE[outcome], ...NO_COST);
    freeKey(id);
  }

  function adjust({ id, accountId, units, reason, day, at }: Op & { kind: "adjust" }): void {
    const account = accountOf(accountId);
    const source = sourceOf(account, { accountId, keyId: "", plan: "", model: "", endpoint: "" });
    const number = dayNumber(day);
    sawDay(number);
    append(packId(id), KIND.adjust, account, source, number, units, at, epoch, ...NO_COST, reason);
  }

  function write(op: Op): number {
    if (op.kind !== "adjust" && op.entry) reserve(op.entry);
    if (op.kind === "settle") return settle(op);
    if (op.kind === "void") {
      const id = packId(op.requestId);
      makeVoid(id, close(op.requestId, id), op.outcome, op.at);
    } else if (op.kind === "adjust") adjust(op);
    return RESULT.done;
  }

  return {
    /**
     * Writes all of it, durably, or nothing.
     * @param at Unix milliseconds
     * @returns a RESULT for each op
     * @throws what SQLite says
     */
    commit(ops: readonly Op[], at: number): number[] {
      return transaction(() => {
        const results = ops.map(write);
        for (const { id, account, source, day, units } of fresh.values()) openRequest(id, account, source, day, units);
        fresh.clear();
        fold();
        markFolded();
        if (at - purgedAt >= PURGE_MS || at < purgedAt) purgedAt = purge(at) === PURGE_ROWS ? 0 : at;
        return results;
      });
    },

    /** Writes and deletes more than a commit needs, to learn whether there is room again. @throws what SQLite says */
    probe(): void {
      for (const step of probe) step();
    },

    /** A new run begins: what an earlier one left open is void, and its keys may be used again. */
    recover(name: string, at: number): State {
      return transaction(() => {
        epoch = addEpoch(name, at)!.id;
        const ids = db.query<{ request_id: Uint8Array | string }, []>("SELECT request_id FROM open_request").all();
        for (const { request_id: id } of ids) makeVoid(id, closeRequest(id), "lost", at);
        fold();
        markFolded();
        const { day } = db.query<{ day: number }, []>("SELECT day FROM last_day").get()!;
        const counts = db
          .query<State["counts"][number], [number]>(
            `SELECT account.name AS accountId, key AS keyId, sum(units) AS units FROM usage_day
             JOIN source ON source.id = source JOIN account ON account.id = account WHERE day = ? GROUP BY 1, 2`,
          )
          .all(day);
        return { lastDay: day === 0 ? "" : dayText(day), counts, lost: ids.length };
      });
    },
  };

  function addEpoch(name: string, at: number): { id: number } | null {
    return get<{ id: number }>("INSERT INTO epoch (name, started_at) VALUES (?, ?) RETURNING id")(name, at);
  }
}

/** Six columns: of a correction from `outcome` on, of a void from `tokens_in` on. */
const NO_COST: null[] = [null, null, null, null, null, null];
/** From `outcome` on. */
const NO_RESULT: null[] = [null, ...NO_COST];
