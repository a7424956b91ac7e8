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
  };
  /** One row: what tells the pepper that made the digests from another one. */
  pepper_check: { id: 1; digest: string };
};

export const migrations: Record<string, Migration> = {
  "0001_accounts_and_keys": { up: accountsAndKeys },
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
