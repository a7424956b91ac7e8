// The first account and the first key of a home, without which nobody could make any other.

import type { Kysely, Transaction } from "kysely";
import type { PlanRef } from "../config.ts";
import { AccountsError } from "./errors.ts";
import { newKey, newKeyId, readKey } from "./key.ts";
import { stateOf } from "./keys.ts";
import type { AccountsTables } from "./migrations.ts";
import { digestOf } from "./pepper.ts";

export interface BootstrapOptions {
  db: Kysely<AccountsTables>;
  pepper: string;
  now: () => number;
  onChange: () => void;
}

type Tx = Transaction<AccountsTables>;

export function createBootstrap({ db, pepper, now, onChange }: BootstrapOptions) {
  async function ensureAdmin(tx: Tx, plan: PlanRef): Promise<string> {
    const admin = await tx.selectFrom("accounts").select("id").where("role", "=", "admin").executeTakeFirst();
    if (admin) return admin.id;
    const id = Bun.randomUUIDv7();
    const row = { id, name: "admin", role: "admin" as const, plan: plan.id, plan_version: plan.version };
    await tx
      .insertInto("accounts")
      .values({ ...row, created_at: now() })
      .execute();
    return id;
  }

  async function insertKey(tx: Tx, accountId: string, id: string, key: string, name: string): Promise<void> {
    const row = { id, account_id: accountId, name, digest: digestOf(pepper, key), created_at: now() };
    await tx.insertInto("api_keys").values(row).execute();
  }

  async function ensureChosen(tx: Tx, accountId: string, key: string): Promise<void> {
    const shape = readKey(key);
    if (shape === "misspelled") {
      throw new AccountsError(
        "OXBOW_BOOTSTRAP_KEY begins like a key made here, but a character of it is wrong or missing. Copy it again, or choose another.",
      );
    }
    const row = await tx
      .selectFrom("api_keys")
      .select(["revoked_at", "disabled_at", "expires_at", "grace_ends_at"])
      .where("digest", "=", digestOf(pepper, key))
      .executeTakeFirst();
    if (!row) return insertKey(tx, accountId, shape === "foreign" ? newKeyId() : shape.id, key, "bootstrap key");
    const state = stateOf(row, now());
    if (state === "active" || state === "grace") return;
    // Neither brought back behind the back of who revoked it, nor left to fail at the first call.
    const words = { revoked: "was revoked", disabled: "is disabled", expired: "has expired", rotated: "was rotated" };
    throw new AccountsError(`OXBOW_BOOTSTRAP_KEY holds a key that ${words[state]}. Choose another.`);
  }

  return {
    /** One transaction: two first starts at the same time make one account and one key. */
    async bootstrap(options: { plan: PlanRef; bootstrapKey?: string | undefined }): Promise<string | null> {
      const first = await db.transaction().execute(async (tx) => {
        const accountId = await ensureAdmin(tx, options.plan);
        if (options.bootstrapKey !== undefined) {
          await ensureChosen(tx, accountId, options.bootstrapKey);
          return null;
        }
        if (await tx.selectFrom("api_keys").select("id").limit(1).executeTakeFirst()) return null;
        const { id, key } = newKey();
        await insertKey(tx, accountId, id, key, "first key");
        return key;
      });
      onChange();
      return first;
    },

    async ensureAdmin(plan: PlanRef): Promise<void> {
      await db.transaction().execute((tx) => ensureAdmin(tx, plan));
    },
  };
}
