// Who calls: accounts and their API keys. Keys are made here, shown once, kept as digests, and turned into callers on
// every request. What a caller may do is decided elsewhere, by plan.

import type { Kysely } from "kysely";
import type { Store } from "../store/store.ts";
import { createBootstrap, type PlanRef } from "./bootstrap.ts";
import { AccountsError } from "./errors.ts";
import { type Caller, createIdentify } from "./identify.ts";
import { createKeys, type KeyRow, type NewKeyOptions } from "./keys.ts";
import { createLastUsed } from "./last-used.ts";
import { type AccountsTables, migrations } from "./migrations.ts";
import { digestOf, loadPepper } from "./pepper.ts";

export { AccountsError, type Caller, type KeyRow, type NewKeyOptions, type PlanRef };

export interface AccountsOptions {
  /** Holds the pepper file, unless `pepper` is given. */
  home: string;
  /** What keys are hashed under, when the operator keeps it elsewhere. Another one makes every key unknown. */
  pepper?: string | undefined;
  /** Unix milliseconds. */
  now: () => number;
  /** How often, at most, a request looks whether another process has changed something; milliseconds. */
  pollMs?: number;
  /** How long a key's last use may wait to be written down; milliseconds. */
  lastUsedMs?: number;
}

export type Accounts = Awaited<ReturnType<typeof createAccounts>>;

/** @throws AccountsError, HomeError: one line for the operator */
export async function createAccounts(store: Store, options: AccountsOptions) {
  const { now } = options;
  await store.migrate("accounts", migrations);
  const db = store.db.$extendTables<AccountsTables>();
  const pepper = options.pepper ?? loadPepper(options.home);
  await checkPepper(db, pepper);

  // A revoked key must be refused within a second, also when another process revoked it.
  const lastUsed = createLastUsed(db, options.lastUsedMs ?? 60_000);
  const identify = createIdentify({ store, db, pepper, now, pollMs: options.pollMs ?? 250, onUse: lastUsed.note });
  const keys = createKeys({ db, pepper, now, onChange: identify.forget });
  const bootstrap = createBootstrap({ db, pepper, now, onChange: identify.forget });

  return {
    /**
     * The caller whose key the request carries. No database on the way of a key that was seen lately.
     * @throws ApiError `missing_api_key`, `invalid_api_key`
     */
    identify: (headers: Headers): Caller => identify.identify(headers),
    /**
     * Makes the admin account and its first key when there is none.
     * @returns the first key, in the one call that made it; null ever after, and when the operator chose the key
     * @throws AccountsError when the operator's key can never work
     */
    bootstrap: bootstrap.bootstrap,
    /** Makes the admin account alone, for who makes keys before the first start. */
    ensureAdmin: bootstrap.ensureAdmin,
    createKey: keys.create,
    listKeys: keys.list,
    revokeKey: keys.revoke,
    /** Writes down what is still to be written. The store is closed after this, by whoever opened it. */
    close: lastUsed.flush,
  };
}

/** With another pepper every key would be refused as unknown, and nobody would know why. */
async function checkPepper(db: Kysely<AccountsTables>, pepper: string): Promise<void> {
  const digest = digestOf(pepper, "oxbow pepper check");
  await db
    .insertInto("pepper_check")
    .values({ id: 1, digest })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const row = await db.selectFrom("pepper_check").select("digest").executeTakeFirstOrThrow();
  if (row.digest === digest) return;
  throw new AccountsError(
    "The keys in this home were made under another pepper, so none of them would work. Restore the file `pepper` in the home, or the OXBOW_PEPPER that was set then.",
  );
}
