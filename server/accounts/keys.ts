// Keys as their owner handles them: made, narrowed, listed, rotated, disabled, revoked.

import type { Kysely } from "kysely";
import { type Catalogue, planOf } from "./catalogue.ts";
import { AccountsError } from "./errors.ts";
import { findAccount } from "./find.ts";
import { newKey } from "./key.ts";
import type { AccountsTables } from "./migrations.ts";
import { checkLabel } from "./names.ts";
import { digestOf } from "./pepper.ts";
import { checkNarrowing, type Narrowing, readModels, readOverrides } from "./terms.ts";

export interface KeysOptions {
  db: Kysely<AccountsTables>;
  pepper: string;
  now: () => number;
  catalogue: () => Catalogue;
  onChange: () => void;
}

export interface NewKeyOptions {
  /** 1 to 64 characters that can be seen, for people. */
  name: string;
  /** Name or id of an account; the first admin account when left out. */
  account?: string | undefined;
  /** Unix milliseconds, in the future. */
  expiresAt?: number | undefined;
  /** Ids or aliases of models that the account has: only these. */
  models?: readonly string[] | undefined;
  /** At most this many of the account's requests in a day. */
  requestsPerDay?: number | undefined;
}

/** A key that has just been made. */
export interface MadeKey {
  id: string;
  /** The whole key: it cannot be had again. */
  key: string;
  name: string;
  accountName: string;
}

export type KeyState = "active" | "grace" | "rotated" | "expired" | "disabled" | "revoked";

/** A key as it may be shown. Times are Unix milliseconds; null: not (yet). */
export interface KeyRow extends Narrowing {
  id: string;
  name: string;
  accountId: string;
  accountName: string;
  state: KeyState;
  createdAt: number;
  expiresAt: number | null;
  disabledAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
  /** The key that takes its place, and when this one stops. */
  rotatedTo: string | null;
  graceEndsAt: number | null;
}

/** Longer than anybody needs to bring a new key to where it is used. */
const GRACE_MS_MAX = 30 * 86_400_000;

export function createKeys({ db, pepper, now, catalogue, onChange }: KeysOptions) {
  /** @throws AccountsError as `checkNarrowing` */
  async function narrow(accountId: string, options: NewKeyOptions): Promise<Narrowing> {
    const asked = { models: options.models ?? null, requestsPerDay: options.requestsPerDay ?? null };
    // The tables of data/ are only asked for when they are needed: an ordinary key can be made without them.
    if (asked.models === null && asked.requestsPerDay === null) return asked;
    const row = await db
      .selectFrom("accounts")
      .leftJoin("trials", "trials.account_id", "accounts.id")
      .select(["name", "plan", "plan_version", "overrides", "trials.ends_at"])
      .where("accounts.id", "=", accountId)
      .executeTakeFirstOrThrow();
    const { plans, models } = catalogue();
    const plan = planOf({ name: row.name, plan: { id: row.plan, version: row.plan_version } }, { plans });
    const terms = { plan, overrides: readOverrides(row.overrides), trialEndsAt: row.ends_at };
    return checkNarrowing(asked, terms, models, now());
  }

  /** @throws AccountsError */
  async function setTime(id: string, column: "revoked_at" | "disabled_at", at: number | null): Promise<void> {
    await findKey(db, id);
    const update = db
      .updateTable("api_keys")
      .set({ [column]: at })
      .where("id", "=", id);
    // When it first happened is what is kept.
    await (at === null ? update : update.where(column, "is", null)).execute();
    onChange();
  }

  return {
    /** @throws AccountsError for a name, an account, a narrowing or an expiry that cannot be */
    async create(options: NewKeyOptions): Promise<MadeKey> {
      const name = checkLabel("A key's name", options.name);
      const createdAt = now();
      const expiresAt = options.expiresAt ?? null;
      if (expiresAt !== null && !(expiresAt > createdAt)) throw new AccountsError("A key must expire in the future.");
      const account = await findAccount(db, options.account);
      const { models, requestsPerDay } = await narrow(account.id, options);
      const { id, key } = newKey();
      await db
        .insertInto("api_keys")
        .values({
          id,
          account_id: account.id,
          name,
          digest: digestOf(pepper, key),
          created_at: createdAt,
          expires_at: expiresAt,
          models: models && JSON.stringify(models),
          requests_per_day: requestsPerDay,
        })
        .execute();
      onChange();
      return { id, key, name, accountName: account.name };
    },

    /**
     * A new key with the rights, the name and the expiry of an old one, which works until the grace is over.
     * @param graceMs 0 (the old one stops at once) to 30 days
     * @throws AccountsError when there is no such key, or it does not work, or is being replaced already
     */
    async rotate(oldId: string, graceMs: number): Promise<MadeKey & { graceEndsAt: number }> {
      if (!(graceMs >= 0 && graceMs <= GRACE_MS_MAX)) throw new AccountsError("The grace must be 0 to 30 days.");
      const { id, key } = newKey();
      const createdAt = now();
      const graceEndsAt = createdAt + graceMs;
      const old = await db.transaction().execute(async (tx) => {
        const row = await findKey(tx, oldId);
        const state = stateOf(row, createdAt);
        if (row.rotated_to !== null)
          throw new AccountsError(`The key is rotated already: ${row.rotated_to} replaces it.`);
        if (state !== "active") throw new AccountsError(`The key is ${state}: there is nothing to rotate.`);
        const { account_id, name, expires_at, models, requests_per_day } = row;
        const same = { account_id, name, expires_at, models, requests_per_day };
        const digest = digestOf(pepper, key);
        await tx
          .insertInto("api_keys")
          .values({ id, digest, created_at: createdAt, ...same })
          .execute();
        const end = { rotated_to: id, grace_ends_at: graceEndsAt };
        await tx.updateTable("api_keys").set(end).where("id", "=", oldId).execute();
        return row;
      });
      onChange();
      return { id, key, name: old.name, accountName: old.account_name, graceEndsAt };
    },

    /** All keys there ever were, oldest first. */
    async list(): Promise<KeyRow[]> {
      const rows = await keysOf(db).orderBy("api_keys.created_at").orderBy("api_keys.id").execute();
      const at = now();
      return rows.map((row) => ({
        id: row.id,
        name: row.name,
        accountId: row.account_id,
        accountName: row.account_name,
        state: stateOf(row, at),
        models: readModels(row.models),
        requestsPerDay: row.requests_per_day,
        createdAt: row.created_at,
        expiresAt: row.expires_at,
        disabledAt: row.disabled_at,
        revokedAt: row.revoked_at,
        lastUsedAt: row.last_used_at,
        rotatedTo: row.rotated_to,
        graceEndsAt: row.grace_ends_at,
      }));
    },

    /**
     * From now on the key is refused, for good; here at once, in other processes within their `pollMs`. Revoking again
     * changes nothing.
     * @throws AccountsError when there is no such key
     */
    revoke: (id: string) => setTime(id, "revoked_at", now()),
    /** The same until it is enabled. */
    disable: (id: string) => setTime(id, "disabled_at", now()),
    enable: (id: string) => setTime(id, "disabled_at", null),
  };
}

type Ends = Pick<KeyTable, "revoked_at" | "disabled_at" | "expires_at" | "grace_ends_at">;
type KeyTable = AccountsTables["api_keys"];

/** In the order in which a caller is told. */
export function stateOf(row: Ends, at: number): KeyState {
  if (row.revoked_at !== null) return "revoked";
  if (row.disabled_at !== null) return "disabled";
  const expiresAt = row.expires_at ?? Number.POSITIVE_INFINITY;
  const graceEndsAt = row.grace_ends_at ?? Number.POSITIVE_INFINITY;
  if (at >= Math.min(expiresAt, graceEndsAt)) return expiresAt <= graceEndsAt ? "expired" : "rotated";
  return row.grace_ends_at === null ? "active" : "grace";
}

function keysOf(db: Kysely<AccountsTables>) {
  return db
    .selectFrom("api_keys")
    .innerJoin("accounts", "accounts.id", "api_keys.account_id")
    .selectAll("api_keys")
    .select("accounts.name as account_name");
}

async function findKey(db: Kysely<AccountsTables>, id: string) {
  const row = await keysOf(db).where("api_keys.id", "=", id).executeTakeFirst();
  // What was typed may be a whole key: it is not repeated.
  if (!row) throw new AccountsError("There is no key with this id. `oxbow keys list` shows the ids.");
  return row;
}
