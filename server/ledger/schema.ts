// ledger.db: its tables, and how it is opened to be written and to be read. Rows are small, because there are two for
// every request there ever was: names are numbers that stand for a row of `source`, days and outcomes are numbers.

import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Outcome } from "@oxbow/contract";
import { asHomeError, HomeError, prepareHome } from "../store/store.ts";

/** On disk for ever: a number here never comes to mean something else. */
export const KIND = { reserve: 0, settle: 1, void: 2, adjust: 3 } as const;

export const OUTCOME_CODE: Record<Outcome, number> = {
  complete: 0,
  cancelled_after_first_token: 1,
  cancelled_before_first_token: 2,
  client_error: 3,
  refused: 4,
  queue_timeout: 5,
  engine_failed: 6,
  interrupted: 7,
  lost: 8,
};

const VERSION = 1;

// `ledger_event` is the truth, and only ever appended to. `open_request` holds what is reserved and has not ended, so that
// recovery after a crash reads those alone; `usage_day` holds sums. Both change in the commit that appends the event.
const TABLES = `
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE source (
  id INTEGER PRIMARY KEY,
  account INTEGER NOT NULL REFERENCES account(id),
  key TEXT NOT NULL, plan TEXT NOT NULL, model TEXT NOT NULL, endpoint TEXT NOT NULL,
  UNIQUE (account, key, plan, model, endpoint)
) STRICT;
CREATE TABLE epoch (id INTEGER PRIMARY KEY, name TEXT NOT NULL, started_at INTEGER NOT NULL) STRICT;

CREATE TABLE ledger_event (
  seq INTEGER PRIMARY KEY,
  request_id ANY NOT NULL,
  kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
  account INTEGER NOT NULL, source INTEGER NOT NULL REFERENCES source(id),
  day INTEGER NOT NULL, units INTEGER NOT NULL, at INTEGER NOT NULL, epoch INTEGER NOT NULL,
  outcome INTEGER, tokens_in INTEGER, tokens_out INTEGER,
  waited_ms INTEGER, first_token_ms INTEGER, duration_ms INTEGER, reason TEXT
) STRICT;
CREATE UNIQUE INDEX ledger_event_once ON ledger_event (request_id, kind);
CREATE UNIQUE INDEX ledger_event_one_end ON ledger_event (request_id) WHERE kind IN (1, 2);
CREATE INDEX ledger_event_of_account ON ledger_event (account, day) WHERE kind > 0;

CREATE TABLE open_request (
  request_id ANY PRIMARY KEY NOT NULL,
  account INTEGER NOT NULL, source INTEGER NOT NULL, day INTEGER NOT NULL, units INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  account INTEGER NOT NULL, key TEXT NOT NULL,
  body_hash TEXT NOT NULL, request_id ANY NOT NULL,
  status INTEGER, content_type TEXT, answer BLOB, expires INTEGER NOT NULL,
  UNIQUE (account, key), UNIQUE (request_id)
) STRICT;
CREATE INDEX idempotency_expires ON idempotency (expires);

CREATE TABLE usage_day (
  day INTEGER NOT NULL, source INTEGER NOT NULL REFERENCES source(id),
  requests INTEGER NOT NULL, units INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  PRIMARY KEY (day, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE fold_mark (name TEXT PRIMARY KEY NOT NULL, seq INTEGER NOT NULL) STRICT;
INSERT INTO fold_mark VALUES ('usage_day', 0);
CREATE TABLE last_day (id INTEGER PRIMARY KEY CHECK (id = 1), day INTEGER NOT NULL) STRICT;
INSERT INTO last_day VALUES (1, 0);
CREATE TABLE probe (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
PRAGMA user_version = ${VERSION};
`;

function ledgerFile(home: string): string {
  return join(home, "ledger.db");
}

/**
 * Opens the ledger to write; makes it when it is missing. A commit on this connection is on disk when it returns.
 * @throws HomeError, or what SQLite says
 */
export function openToWrite(home: string): Database {
  prepareHome(home);
  const file = ledgerFile(home);
  closeSync(openSync(file, "a", 0o600));
  const db = new Database(file);
  db.run("PRAGMA busy_timeout = 5000");
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  // Request ids come in no order, so that their indexes want to be in memory: 64 MiB at most.
  db.run("PRAGMA cache_size = -65536");
  // A checkpoint of 16 MiB now and then, and one when nothing is to do, instead of many small ones between commits.
  db.run("PRAGMA wal_autocheckpoint = 4000");
  db.run("PRAGMA journal_size_limit = 67108864");
  if (versionOf(db, home) === 0) db.transaction(() => versionOf(db, home) === 0 && db.run(TABLES)).immediate();
  return db;
}

/** Opens the ledger to read, beside whoever writes. @returns null when there is none yet @throws HomeError */
export function openToRead(home: string): Database | null {
  const file = ledgerFile(home);
  if (!existsSync(file)) return null;
  let db: Database | undefined;
  try {
    db = new Database(file, { readonly: true });
    db.run("PRAGMA busy_timeout = 5000");
    if (versionOf(db, home) > 0) return db;
    db.close(); // made this moment, and still empty
    return null;
  } catch (error) {
    db?.close();
    throw asHomeError(home, error);
  }
}

function versionOf(db: Database, home: string): number {
  const { user_version } = db.query<{ user_version: number }, []>("PRAGMA user_version").get()!;
  if (user_version <= VERSION) return user_version;
  const text = `The ledger in the home ${home} was written by a newer version of Oxbow. Update this one, or choose another folder with OXBOW_HOME or --home.`;
  throw new HomeError(text);
}

/** Request ids of ours are 16 bytes on disk; others stay text. */
export function packId(requestId: string): Uint8Array | string {
  return /^req_[0-9a-f]{32}$/.test(requestId) ? Uint8Array.fromHex(requestId.slice(4)) : requestId;
}

export function unpackId(id: Uint8Array | string): string {
  return typeof id === "string" ? id : `req_${id.toHex()}`;
}
