// Accounts on plans, with terms of their own and trials, on a real database.

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Accounts } from "./accounts.ts";
import { call, createTestHome, START } from "./fixtures.ts";

const DAY = 86_400_000;
let at: Awaited<ReturnType<typeof createTestHome>>;
let accounts: Accounts;

beforeEach(async () => {
  at = await createTestHome();
  accounts = at.accounts;
});
afterEach(() => at.close());

const keyOf = async (account: string) => (await accounts.createKey({ name: "x", account })).key;
const verified = { email: "ann@example.com", verified: true };

test("a new account gets the plan of new accounts, or the one it is given, in the version that is sold", async () => {
  expect(await accounts.createAccount({ name: "acme" })).toMatchObject({ plan: "free@2026", role: "member" });
  expect((await accounts.createAccount({ name: "b", plan: "pro" })).plan).toBe("pro@2026");
  expect((await accounts.createAccount({ name: "c", plan: "pro@2025" })).plan).toBe("pro@2025");
  for (const plan of ["prp", "pro@2024", "pro@", "@2026", ""]) {
    await expect(accounts.createAccount({ name: "d", plan })).rejects.toThrow(
      `There is no plan called '${plan}'. There are free@2025, pro@2025,`,
    );
  }
  expect((await accounts.listAccounts()).map(({ name }) => name)).toEqual(["acme", "b", "c"]);
});

test("an account keeps its version when another one is sold", async () => {
  const account = await accounts.createAccount({ name: "acme", plan: "pro" });
  const key = await keyOf("acme");
  const newer = at.world.catalogue.plans.map((plan) => ({ ...plan, version: plan.version + 1 }));
  const older = at.world.catalogue.plans.map((plan) => ({ ...plan, sold: false }));
  at.world.catalogue = { ...at.world.catalogue, plans: [...older, ...newer.filter((plan) => plan.sold)] };
  expect(call(accounts, key)).toMatchObject({ plan: { id: "pro", version: 2026 } });
  expect((await accounts.createAccount({ name: "late", plan: "pro" })).plan).toBe("pro@2027");
  expect(await accounts.showAccount(account.id)).toEqual(account);
});

test("names that cannot be, or are taken, make no account", async () => {
  const { id } = await accounts.createAccount({ name: "acme" });
  await expect(accounts.createAccount({ name: " acme " })).rejects.toThrow("an account called 'acme' already");
  await expect(accounts.createAccount({ name: id })).rejects.toThrow("must not look like an id");
  await expect(accounts.createAccount({ name: "a\nb" })).rejects.toThrow("An account's name must have 1 to 64");
  await expect(accounts.createAccount({ name: "b", email: "nowhere" })).rejects.toThrow("must look like");
  await expect(accounts.createAccount({ name: "b", verified: true })).rejects.toThrow("no e-mail address to verify");
  await expect(accounts.showAccount("nobody")).rejects.toThrow("There is no account with this name or id.");
  expect(await accounts.listAccounts()).toHaveLength(1);
});

test("another plan and terms by contract hold from the next call on, also in other processes", async () => {
  await accounts.createAccount({ name: "acme" });
  const key = await keyOf("acme");
  const other = await at.open();
  call(other, key);
  expect(await accounts.setPlan("acme", "premium@2025")).toBe("premium@2025");
  expect(await accounts.override("acme", { requestsPerDay: 9000, concurrencyMax: null })).toEqual({
    requestsPerDay: 9000,
    concurrencyMax: null,
  });
  await accounts.override("acme", { requestsPerDay: undefined, inputTokensMax: 100 });
  const now = {
    plan: { id: "premium", version: 2025 },
    overrides: { concurrencyMax: null, inputTokensMax: 100 },
  };
  expect(call(accounts, key)).toMatchObject(now);
  at.world.now += 250;
  const caller = call(other, key);
  expect(caller).toMatchObject(now);
  expect(Object.isFrozen((caller as { overrides: object }).overrides)).toBe(true);
  await expect(accounts.override("acme", { requestsPerDay: 0 })).rejects.toThrow("requestsPerDay must be");
  await expect(accounts.setPlan("acme", "gold")).rejects.toThrow("There is no plan called 'gold'");
  expect(call(accounts, key)).toMatchObject(now);
});

test("a trial has as many days as the plan says, and its end is known to whoever decides", async () => {
  const { trialEndsAt } = await accounts.createAccount({ name: "acme", ...verified, trial: true });
  expect(trialEndsAt).toBe(START + 7 * DAY);
  expect(call(accounts, await keyOf("acme"))).toMatchObject({ trialEndsAt: START + 7 * DAY });
  // All models: a key may be narrowed to one above the plan's tiers, until the trial is over.
  const narrow = () => accounts.createKey({ name: "x", account: "acme", models: ["qwen-3-32b"] });
  at.world.now = START + 7 * DAY - 1;
  expect((await narrow()).key).toStartWith("ox_live_");
  at.world.now = START + 7 * DAY;
  await expect(narrow()).rejects.toThrow("does not have the model qwen-3-32b");
});

test("a trial needs a verified address and a plan that has one; refused, it leaves no account behind", async () => {
  const create = (more: object) => accounts.createAccount({ name: "acme", trial: true, ...more });
  await expect(create({})).rejects.toThrow("needs an e-mail address that is verified");
  await expect(create({ email: "ann@example.com" })).rejects.toThrow("needs an e-mail address that is verified");
  await expect(create({ ...verified, plan: "pro" })).rejects.toThrow("The plan pro@2026 has no trial.");
  expect(await accounts.listAccounts()).toEqual([]);
});

test("there is one trial for an account and for a mailbox, whatever happens to them", async () => {
  await accounts.createAccount({ name: "acme", email: "ann@example.com" });
  await expect(accounts.startTrial("acme")).rejects.toThrow("verified");
  await accounts.verify("acme");
  expect(await accounts.startTrial("acme")).toBe(START + 7 * DAY);
  at.world.now += 30 * DAY;
  await expect(accounts.startTrial("acme")).rejects.toThrow("The account has had its trial.");
  // The same account under another address, and another account under the same one in another spelling.
  await accounts.verify("acme", "bob@example.com");
  await expect(accounts.startTrial("acme")).rejects.toThrow("The account has had its trial.");
  for (const email of ["ann@example.com", "Ann+2@EXAMPLE.com"]) {
    const again = accounts.createAccount({ name: "second", email, verified: true, trial: true });
    await expect(again).rejects.toThrow("Another account with this e-mail address has had its trial.");
  }
  // The address that acme took later has not had one.
  await accounts.createAccount({ name: "third", email: "bob@example.com", verified: true, trial: true });
});

test("ten accounts of one mailbox that ask at the same time get one trial", async () => {
  const asked = Array.from({ length: 10 }, (_, index) =>
    accounts.createAccount({ name: `acme ${index}`, ...verified, trial: true }),
  );
  const done = await Promise.allSettled(asked);
  expect(done.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect(await accounts.listAccounts()).toHaveLength(1);
});

test("disabling again keeps when it was first done; an account that is enabled works as before", async () => {
  await accounts.createAccount({ name: "acme" });
  const key = await keyOf("acme");
  await accounts.disableAccount("acme");
  at.world.now += 10;
  await accounts.disableAccount("acme");
  expect(await accounts.showAccount("acme")).toMatchObject({ state: "disabled", disabledAt: START });
  expect(call(accounts, key)).toBe("Its account is disabled.");
  await accounts.enableAccount("acme");
  expect(call(accounts, key)).toMatchObject({ accountName: "acme" });
});

test("an account whose plan is not among the plans is named", async () => {
  await accounts.createAccount({ name: "acme", plan: "pro@2025" });
  const { plans } = at.world.catalogue;
  expect(() => accounts.checkPlans(plans)).not.toThrow();
  expect(() => accounts.checkPlans(plans.filter(({ version }) => version === 2026))).toThrow(
    "The account 'acme' has the plan pro@2025, which is not in plans.yaml. Put it back there, or give the account another one with `oxbow accounts set-plan`. There are free@2026, pro@2026,",
  );
});

test("a home of the first version keeps its account, its keys and its pepper", async () => {
  await accounts.ensureAdmin({ id: "enterprise", version: 2026 });
  const { key } = await accounts.createKey({ name: "x" });
  const database = new Database(`${at.home}/core.db`);
  for (const column of ["email", "verified_at", "overrides"])
    database.run(`ALTER TABLE accounts DROP COLUMN ${column}`);
  for (const column of ["disabled_at", "models", "requests_per_day", "rotated_to", "grace_ends_at"]) {
    database.run(`ALTER TABLE api_keys DROP COLUMN ${column}`);
  }
  database.run("DROP TABLE trials");
  database.run("DELETE FROM migrations_accounts WHERE name = '0002_terms_and_trials'");
  database.close();
  expect(call(await at.open(), key)).toMatchObject({ accountName: "admin", overrides: {}, trialEndsAt: null });
});
