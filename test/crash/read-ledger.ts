// Reads the ledger's file as an auditor would: with SQLite alone, and none of the product's own code.

import { Database } from "bun:sqlite";
import { join } from "node:path";

export interface LedgerReading {
  /** Every Idempotency-Key whose answer is kept, and counted. */
  billed: Set<string>;
  /** Settlements altogether, whatever they belong to. */
  settlements: number;
  /** What SQLite says of the file: `ok`. */
  integrity: string;
}

/** @param home a home that no server holds, or a copy of one */
export function readLedger(home: string): LedgerReading {
  const db = new Database(join(home, "ledger.db"));
  try {
    const rows = db
      .query<{ key: string }, []>("SELECT key FROM idempotency JOIN ledger_event USING (request_id) WHERE kind = 1")
      .all();
    const { settlements } = db
      .query<{ settlements: number }, []>("SELECT count(*) AS settlements FROM ledger_event WHERE kind = 1")
      .get()!;
    const { integrity_check: integrity } = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check").get()!;
    return { billed: new Set(rows.map(({ key }) => key)), settlements, integrity };
  } finally {
    db.close();
  }
}
