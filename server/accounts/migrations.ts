// The tables of this room, as steps that a home runs through once, in the order of their names. A step that was ever
// released is never edited. Ids are UUIDv7 but for keys; times are Unix milliseconds.

import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

export type AccountsTables = {
  accounts: {
    id: string;
    name: string;
    role: "admin" | "member";
    plan: string;
    plan_version: number;
    created_at: number;
    disabled_at: number | null;
    email: string | null;
    /** Since when the address is known to be the account's own. */
    verified_at: number | null;
    /** JSON: numbers by contract in the place of the plan's. */
    overrides: string | null;
  };
  /** One for an account and for a mailbox, ever. */
  trials: {
    account_id: string;
    /** In the one form of its spellings. */
    email: string;
    began_at: number;
    ends_at: number;
  };
  api_keys: {
    /** The eight characters in the key that may be shown. */
    id: string;
    account_id: string;
    name: string;
    /** HMAC-SHA256 of the whole key under the pepper, in hex. */
    digest: string;
    created_at: number;
    expires_at: number | null;
    revoked_at: number | null;
    last_used_at: number | null;
    disabled_at: number | null;
    /** JSON list of ids: only these. */
    models: string | null;
    /** Of the account's, this key may use so many. */
    requests_per_day: number | null;
    /** The key that takes its place; it is refused from `grace_ends_at` on. */
    rotated_to: string | null;
    grace_ends_at: number | null;
  };
  /** One row: what tells the pepper that made the digests from another one. */
  pepper_check: { id: 1; digest: string };
};

export const migrations: Record<string, Migration> = {
  "0001_accounts_and_keys": { up: accountsAndKeys },
  "0002_terms_and_trials": { up: termsAndTrials },
};

async function accountsAndKeys(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("accounts")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("name", "text", (column) => column.notNull().unique())
    .addColumn("role", "text", (column) => column.notNull().check(sql`role in ('admin', 'member')`))
    .addColumn("plan", "text", (column) => column.notNull())
    .addColumn("plan_version", "integer", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("disabled_at", "bigint")
    .execute();
  await db.schema
    .createTable("api_keys")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("account_id", "text", (column) => column.notNull().references("accounts.id"))
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull().unique())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint")
    .addColumn("revoked_at", "bigint")
    .addColumn("last_used_at", "bigint")
    .execute();
  await db.schema
    .createTable("pepper_check")
    .addColumn("id", "integer", (column) => column.primaryKey().check(sql`id = 1`))
    .addColumn("digest", "text", (column) => column.notNull())
    .execute();
}

async function termsAndTrials(db: Kysely<unknown>): Promise<void> {
  // One column a statement: SQLite takes no more.
  for (const [table, column, type] of [
    ["accounts", "email", "text"],
    ["accounts", "verified_at", "bigint"],
    ["accounts", "overrides", "text"],
    ["api_keys", "disabled_at", "bigint"],
    ["api_keys", "models", "text"],
    ["api_keys", "requests_per_day", "bigint"],
    ["api_keys", "rotated_to", "text"],
    ["api_keys", "grace_ends_at", "bigint"],
  ] as const) {
    await db.schema.alterTable(table).addColumn(column, type).execute();
  }
  await db.schema
    .createTable("trials")
    .addColumn("account_id", "text", (column) => column.primaryKey().notNull().references("accounts.id"))
    .addColumn("email", "text", (column) => column.notNull().unique())
    .addColumn("began_at", "bigint", (column) => column.notNull())
    .addColumn("ends_at", "bigint", (column) => column.notNull())
    .execute();
}
