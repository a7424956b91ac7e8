// Who calls: accounts and their API keys. Keys are made here, shown once, kept as digests, and turned into callers on
// every request. What a caller may do is decided elsewhere, by plan.

import type { Kysely } from "kysely";
import type { Store } from "../store/store.ts";
import { createBootstrap } from "./bootstrap.ts";
import { type Catalogue, planOf } from "./catalogue.ts";
import { AccountsError } from "./errors.ts";
import { type Caller, createIdentify } from "./identify.ts";
import { createKeys, type KeyRow, type KeyState, type MadeKey, type NewKeyOptions } from "./keys.ts";
import { createLastUsed } from "./last-used.ts";
import { type AccountsTables, migrations } from "./migrations.ts";
import { digestOf, loadPepper } from "./pepper.ts";
import { type AccountRow, createRegistry, type NewAccountOptions } from "./registry.ts";
import { type AccountLimits, LIMIT_NAMES, limitsOf, type Overrides } from "./terms.ts";

export type {
  AccountLimits,
  AccountRow,
  Caller,
  Catalogue,
  KeyRow,
  KeyState,
  MadeKey,
  NewAccountOptions,
  NewKeyOptions,
  Overrides,
};
export { AccountsError, LIMIT_NAMES, limitsOf };

export interface AccountsOptions {
  /** Holds the pepper file, unless `pepper` is given. */
  home: string;
  /** What keys are hashed under, when the operator keeps it elsewhere. Another one makes every key unknown. */
  pepper?: string | undefined;
  /** What plans and models there are at the moment. Asked only by what needs it, and may throw. */
  catalogue: () => Catalogue;
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
  const { now, catalogue } = options;
  await store.migrate("accounts", migrations);
  const db = store.db.$extendTables<AccountsTables>();
  const pepper = options.pepper ?? loadPepper(options.home);
  await checkPepper(db, pepper);

  // A revoked key must be refused within a second, also when another process revoked it.
  const lastUsed = createLastUsed(db, options.lastUsedMs ?? 60_000);
  const identify = createIdentify({ store, db, pepper, now, pollMs: options.pollMs ?? 250, onUse: lastUsed.note });
  const keys = createKeys({ db, pepper, now, catalogue, onChange: identify.forget });
  const registry = createRegistry({ db, now, catalogue, onChange: identify.forget });
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
    /**
     * Whether every account's plan is among `plans`.
     * @throws AccountsError that names an account whose plan is not
     */
    checkPlans: (plans: Catalogue["plans"]): void => checkPlans(store, db, plans),
    createKey: keys.create,
    rotateKey: keys.rotate,
    listKeys: keys.list,
    revokeKey: keys.revoke,
    disableKey: keys.disable,
    enableKey: keys.enable,
    createAccount: registry.create,
    listAccounts: registry.list,
    showAccount: registry.show,
    setPlan: registry.setPlan,
    override: registry.override,
    verify: registry.verify,
    startTrial: registry.startTrial,
    disableAccount: registry.disable,
    enableAccount: registry.enable,
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

/** A plan that was sold to somebody must not vanish from under him. At once, so that nothing changes in between. */
function checkPlans(store: Store, db: Kysely<AccountsTables>, plans: Catalogue["plans"]): void {
  const accounts = store.read(
    db.selectFrom("accounts").select(["name", "plan as id", "plan_version as version"]).orderBy("created_at"),
  );
  for (const { name, ...plan } of accounts) planOf({ name, plan }, { plans });
}
