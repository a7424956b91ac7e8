// Accounts as the operator handles them: made on a plan, moved to another, given terms by contract, a trial, disabled.

import type { Kysely, Transaction } from "kysely";
import type { Plan } from "../config.ts";
import { type Catalogue, nameOf, planCalled, planOf } from "./catalogue.ts";
import { checkEmail, normaliseEmail } from "./email.ts";
import { AccountsError } from "./errors.ts";
import { findAccount } from "./find.ts";
import type { AccountsTables } from "./migrations.ts";
import { checkLabel } from "./names.ts";
import { checkOverrides, type Overrides, readOverrides } from "./terms.ts";

export interface RegistryOptions {
  db: Kysely<AccountsTables>;
  now: () => number;
  catalogue: () => Catalogue;
  onChange: () => void;
}

export interface NewAccountOptions {
  /** 1 to 64 characters that can be seen, and not another account's. */
  name: string;
  email?: string | undefined;
  /** The address is known to be the account's own. */
  verified?: boolean | undefined;
  /** As `planCalled` takes it. */
  plan?: string | undefined;
  /** Begins a trial, as `startTrial` does. */
  trial?: boolean | undefined;
}

/** Times are Unix milliseconds; null: not (yet). */
export interface AccountRow {
  id: string;
  name: string;
  role: "admin" | "member";
  /** `pro@2026` */
  plan: string;
  email: string | null;
  verifiedAt: number | null;
  trialEndsAt: number | null;
  overrides: Overrides;
  state: "active" | "disabled";
  createdAt: number;
  disabledAt: number | null;
}

type Tx = Transaction<AccountsTables>;
type AccountTable = AccountsTables["accounts"];

const DAY_MS = 86_400_000;

/** `account` is a name or an id everywhere. Every function throws AccountsError when there is no such account. */
export function createRegistry({ db, now, catalogue, onChange }: RegistryOptions) {
  /** One transaction, after which every caller is looked up anew. */
  async function change<T>(account: string, work: (tx: Tx, row: AccountTable) => Promise<T>): Promise<T> {
    const result = await db.transaction().execute(async (tx) => work(tx, await findAccount(tx, account)));
    onChange();
    return result;
  }

  const set = (account: string, values: (row: AccountTable) => Partial<AccountTable>) =>
    change(account, async (tx, row) => {
      await tx.updateTable("accounts").set(values(row)).where("id", "=", row.id).execute();
    });

  async function beginTrial(tx: Tx, account: AccountTable, plan: Plan): Promise<number> {
    if (account.email === null || account.verified_at === null) {
      throw new AccountsError("A trial needs an e-mail address that is verified (--email, --verified).");
    }
    if (plan.trialDays === 0) throw new AccountsError(`The plan ${nameOf(plan)} has no trial.`);
    const email = normaliseEmail(account.email);
    const before = await tx
      .selectFrom("trials")
      .select("account_id")
      .where((where) => where.or([where("account_id", "=", account.id), where("email", "=", email)]))
      .executeTakeFirst();
    if (before) {
      const whose = before.account_id === account.id ? "The account" : "Another account with this e-mail address";
      throw new AccountsError(`${whose} has had its trial. There is one for each, ever.`);
    }
    const began_at = now();
    const ends_at = began_at + plan.trialDays * DAY_MS;
    await tx.insertInto("trials").values({ account_id: account.id, email, began_at, ends_at }).execute();
    return ends_at;
  }

  return {
    /** @throws AccountsError for a name, an address or a plan that cannot be, and when the trial cannot: then nothing is made */
    async create(options: NewAccountOptions): Promise<AccountRow> {
      const plan = planCalled(options.plan, catalogue());
      const email = options.email === undefined ? null : checkEmail(options.email);
      if (options.verified && email === null) throw new AccountsError("There is no e-mail address to verify.");
      const account: AccountTable = {
        id: Bun.randomUUIDv7(),
        name: checkLabel("An account's name", options.name),
        role: "member",
        plan: plan.id,
        plan_version: plan.version,
        created_at: now(),
        disabled_at: null,
        email,
        verified_at: options.verified ? now() : null,
        overrides: null,
      };
      const trialEndsAt = await db.transaction().execute(async (tx) => {
        await checkFree(tx, account.name);
        await tx.insertInto("accounts").values(account).execute();
        return options.trial ? beginTrial(tx, account, plan) : null;
      });
      onChange();
      return rowOf({ ...account, ends_at: trialEndsAt });
    },

    /** Oldest first. */
    async list(): Promise<AccountRow[]> {
      const rows = await withTrials(db).orderBy("created_at").orderBy("id").execute();
      return rows.map(rowOf);
    },

    async show(account: string): Promise<AccountRow> {
      const { id } = await findAccount(db, account);
      return rowOf(await withTrials(db).where("id", "=", id).executeTakeFirstOrThrow());
    },

    /**
     * From the next call on. What was used of the day stays used.
     * @param plan as `planCalled` takes it
     * @returns the plan's full name
     */
    async setPlan(account: string, plan: string): Promise<string> {
      const { id, version } = planCalled(plan, catalogue());
      await set(account, () => ({ plan: id, plan_version: version }));
      return nameOf({ id, version });
    },

    /**
     * @param changes by name of a limit: a number, null for none, or undefined for the plan's own again
     * @returns all overrides of the account
     */
    override: (account: string, changes: Readonly<Record<string, number | null | undefined>>): Promise<Overrides> =>
      change(account, async (tx, row) => {
        const merged = { ...readOverrides(row.overrides), ...changes };
        const entries = Object.entries(merged).filter(([, value]) => value !== undefined);
        const overrides = checkOverrides(Object.fromEntries(entries) as Record<string, number | null>);
        const json = entries.length === 0 ? null : JSON.stringify(overrides);
        await tx.updateTable("accounts").set({ overrides: json }).where("id", "=", row.id).execute();
        return overrides;
      }),

    /** @param email another address than the account has; a trial that was had stays had */
    verify: (account: string, email?: string): Promise<void> =>
      set(account, (row) => {
        const address = email === undefined ? row.email : checkEmail(email);
        if (address === null) throw new AccountsError("There is no e-mail address to verify. Give one with --email.");
        return { email: address, verified_at: now() };
      }),

    /**
     * All models from now on, for as many days as the account's plan says. One for an account and for a mailbox, ever.
     * @returns when it ends, by itself
     */
    startTrial: (account: string): Promise<number> =>
      change(account, (tx, row) => {
        const plan = planOf({ name: row.name, plan: { id: row.plan, version: row.plan_version } }, catalogue());
        return beginTrial(tx, row, plan);
      }),

    /** All its keys are refused, here at once, in other processes within their `pollMs`. */
    disable: (account: string): Promise<void> => set(account, (row) => ({ disabled_at: row.disabled_at ?? now() })),
    enable: (account: string): Promise<void> => set(account, () => ({ disabled_at: null })),
  };
}

function withTrials(db: Kysely<AccountsTables>) {
  return db
    .selectFrom("accounts")
    .leftJoin("trials", "trials.account_id", "accounts.id")
    .selectAll("accounts")
    .select("trials.ends_at");
}

/** A name that reads like an id could stand for two accounts. */
async function checkFree(tx: Tx, name: string): Promise<void> {
  if (/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(name)) {
    throw new AccountsError("An account's name must not look like an id.");
  }
  const taken = await tx.selectFrom("accounts").select("id").where("name", "=", name).executeTakeFirst();
  if (taken) throw new AccountsError(`There is an account called '${name}' already.`);
}

function rowOf(row: AccountTable & { ends_at: number | null }): AccountRow {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    plan: nameOf({ id: row.plan, version: row.plan_version }),
    email: row.email,
    verifiedAt: row.verified_at,
    trialEndsAt: row.ends_at,
    overrides: readOverrides(row.overrides),
    state: row.disabled_at === null ? "active" : "disabled",
    createdAt: row.created_at,
    disabledAt: row.disabled_at,
  };
}
