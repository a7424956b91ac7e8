// Keys as their owner handles them: made, listed, revoked.

import type { Kysely } from "kysely";
import { AccountsError } from "./errors.ts";
import { newKey } from "./key.ts";
import type { AccountsTables } from "./migrations.ts";
import { digestOf } from "./pepper.ts";

export interface KeysOptions {
  db: Kysely<AccountsTables>;
  pepper: string;
  now: () => number;
  onChange: () => void;
}

export interface NewKeyOptions {
  /** 1 to 64 characters that can be seen, for people. */
  name: string;
  /** Name or id of an account; the first admin account when left out. */
  account?: string | undefined;
  /** Unix milliseconds, in the future. */
  expiresAt?: number | undefined;
}

/** A key as it may be shown. Times are Unix milliseconds; null: not (yet). */
export interface KeyRow {
  id: string;
  name: string;
  accountId: string;
  accountName: string;
  state: "active" | "expired" | "revoked";
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
}

export function createKeys({ db, pepper, now, onChange }: KeysOptions) {
  return {
    /**
     * @returns the id, and the whole key: it cannot be had again
     * @throws AccountsError for a name, an account or an expiry that cannot be
     */
    async create(options: NewKeyOptions): Promise<{ id: string; key: string; name: string; accountName: string }> {
      const name = checkName(options.name);
      const createdAt = now();
      const expiresAt = options.expiresAt ?? null;
      if (expiresAt !== null && !(expiresAt > createdAt)) throw new AccountsError("A key must expire in the future.");
      const account = await findAccount(db, options.account);
      const { id, key } = newKey();
      const digest = digestOf(pepper, key);
      await db
        .insertInto("api_keys")
        .values({ id, account_id: account.id, name, digest, created_at: createdAt, expires_at: expiresAt })
        .execute();
      onChange();
      return { id, key, name, accountName: account.name };
    },

    /** All keys there ever were, oldest first. */
    async list(): Promise<KeyRow[]> {
      const rows = await db
        .selectFrom("api_keys")
        .innerJoin("accounts", "accounts.id", "api_keys.account_id")
        .selectAll("api_keys")
        .select("accounts.name as account_name")
        .orderBy("api_keys.created_at")
        .orderBy("api_keys.id")
        .execute();
      const at = now();
      return rows.map((row) => ({
        id: row.id,
        name: row.name,
        accountId: row.account_id,
        accountName: row.account_name,
        state:
          row.revoked_at !== null ? "revoked" : row.expires_at !== null && row.expires_at <= at ? "expired" : "active",
        createdAt: row.created_at,
        expiresAt: row.expires_at,
        revokedAt: row.revoked_at,
        lastUsedAt: row.last_used_at,
      }));
    },

    /**
     * From now on the key is refused, for good; here at once, in other processes within their `pollMs`. Revoking again
     * changes nothing.
     * @throws AccountsError when there is no such key
     */
    async revoke(id: string): Promise<void> {
      const key = await db.selectFrom("api_keys").select("id").where("id", "=", id).executeTakeFirst();
      // What was typed may be a whole key: it is not repeated.
      if (!key) throw new AccountsError("There is no key with this id. `oxbow keys list` shows the ids.");
      await db
        .updateTable("api_keys")
        .set({ revoked_at: now() })
        .where("id", "=", id)
        .where("revoked_at", "is", null)
        .execute();
      onChange();
    },
  };
}

function checkName(name: string): string {
  const trimmed = name.trim();
  // Nothing that could make a list on a terminal say something else.
  if (/^[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u.test(trimmed)) return trimmed;
  throw new AccountsError("A key's name must have 1 to 64 characters, and no control characters.");
}

async function findAccount(db: Kysely<AccountsTables>, nameOrId: string | undefined) {
  const all = db.selectFrom("accounts").select(["id", "name"]).orderBy("created_at").orderBy("id");
  if (nameOrId === undefined) {
    const admin = await all.where("role", "=", "admin").executeTakeFirst();
    if (admin) return admin;
    throw new AccountsError("There is no account yet. Starting the server makes the first one.");
  }
  const account = await all
    .where((where) => where.or([where("id", "=", nameOrId), where("name", "=", nameOrId)]))
    .executeTakeFirst();
  if (account) return account;
  throw new AccountsError("There is no account with this name or id.");
}
