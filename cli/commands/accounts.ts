// `oxbow accounts`: makes accounts, puts them on plans, gives them terms by contract and trials, disables them; in the home
// itself, as `oxbow keys` does.

import { type Command, InvalidArgumentError } from "commander";
import type { AccountLimits, AccountRow, Accounts, Catalogue } from "../../server/accounts/accounts.ts";
import { CommandError } from "../exit.ts";
import { type Common, type Env, HOME, JSON_OUTPUT, withAccounts } from "../home.ts";
import { print, printJson, printTable, say } from "../output.ts";
import { isoOf, timeOf } from "../values.ts";
import { forPrograms as keyForPrograms, printKeys } from "./keys.ts";

interface CreateOptions extends Common {
  email?: string;
  verified?: boolean;
  plan?: string;
  trial?: boolean;
}

export function addAccounts(program: Command, env: Env): void {
  const accounts = program.command("accounts").description("make accounts, and say what they may do");
  const add = (usage: string, description: string) =>
    accounts
      .command(usage)
      .description(description)
      .option(...HOME)
      .option(...JSON_OUTPUT);
  const addChange = (usage: string, description: string) =>
    add(usage, description).argument("<account>", "name or id, as shown by `accounts list`");
  const plan = "a plan in the version that is sold (pro), or in another (pro@2025)";

  add("create", "make an account")
    .argument("<name>", "for people; no other account has it")
    .option("--email <address>", "of whoever it belongs to")
    .option("--verified", "the address is known to be theirs")
    .option("--plan <plan>", `${plan}; the default of plans.yaml when left out`)
    .option("--trial", "begin the plan's trial: all models for some days, once for an account and an address")
    .action((name: string, options: CreateOptions) => create(name, options, env));
  add("list", "show all accounts").action((options: Common) => list(options, env));
  addChange("show", "show one account, what it may use, and its keys").action((account: string, options: Common) =>
    show(account, options, env),
  );
  addChange("set-plan", "put an account on another plan, from its next call on")
    .argument("<plan>", plan)
    .action((account: string, planName: string, options: Common) => setPlan(account, planName, options, env));
  addChange("override", "numbers by contract in the place of the plan's")
    .argument("<name=value...>", "requestsPerDay=2000; none: no limit; plan: the plan's own again", changesOf)
    .action((account: string, changes: Changes, options: Common) => override(account, changes, options, env));
  addChange("verify", "the account's e-mail address is known to be its own")
    .option("--email <address>", "in the place of the one it has")
    .action((account: string, options: Common & { email?: string }) => verify(account, options, env));
  addChange("trial", "begin the plan's trial").action((account: string, options: Common) =>
    trial(account, options, env),
  );
  addChange("disable", "refuse all keys of an account until it is enabled").action((account: string, options: Common) =>
    setState(account, "disabled", options, env),
  );
  addChange("enable", "take a disabled account again").action((account: string, options: Common) =>
    setState(account, "enabled", options, env),
  );
}

type Changes = Record<string, number | null | undefined>;

/** One `name=value` more. Names are checked where they are known. */
function changesOf(text: string, before: Changes = {}): Changes {
  const [, name, value] = /^([A-Za-z]+)=(\d{1,15}|none|plan)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("It must look like requestsPerDay=2000, =none or =plan.");
  return { ...before, [name]: value === "none" ? null : value === "plan" ? undefined : Number(value) };
}

async function create(name: string, options: CreateOptions, env: Env): Promise<void> {
  const row = await withAccounts(options, env, (accounts) => accounts.createAccount({ name, ...options }));
  if (options.json) printJson(forPrograms(row));
  else print(row.id);
  const until = row.trialEndsAt === null ? "" : `, with all models until ${timeOf(row.trialEndsAt)} UTC`;
  say(`Account ${row.name} on ${row.plan}${until}. \`oxbow keys create --account\` makes a key for it.`);
}

async function list(options: Common, env: Env): Promise<void> {
  const rows = await withAccounts(options, env, (accounts) => accounts.listAccounts());
  if (options.json) {
    printJson(rows.map(forPrograms));
    return;
  }
  const headings = ["NAME", "PLAN", "STATE", "E-MAIL", "TRIAL UNTIL", "OVERRIDES", "CREATED", "ID"];
  const lines = rows.map((row) => [
    row.name,
    row.plan,
    row.state,
    emailOf(row),
    timeOf(row.trialEndsAt),
    overridesOf(row),
    timeOf(row.createdAt),
    row.id,
  ]);
  printTable(headings, lines);
}

/** An account, and what holds for it. @throws CommandError for one whose plan is gone; AccountsError for one that is not there */
export async function withLimits(
  account: string,
  accounts: Accounts,
  catalogue: () => Catalogue,
): Promise<{ row: AccountRow; limits: AccountLimits }> {
  const { limitsOf } = await import("../../server/accounts/accounts.ts");
  const row = await accounts.showAccount(account);
  const plan = catalogue().plans.find(({ id, version }) => `${id}@${version}` === row.plan);
  if (!plan) throw new CommandError(`The plan ${row.plan} of the account ${row.name} is not in plans.yaml.`);
  return { row, limits: limitsOf(plan, row.overrides) };
}

async function show(account: string, options: Common, env: Env): Promise<void> {
  await withAccounts(options, env, async (accounts, catalogue) => {
    const { row, limits } = await withLimits(account, accounts, catalogue);
    const keys = (await accounts.listKeys()).filter(({ accountId }) => accountId === row.id);
    if (options.json) {
      printJson({ ...forPrograms(row), limits, keys: keys.map(keyForPrograms) });
      return;
    }
    printAccount(row, limits);
    if (keys.length > 0) print("");
    if (keys.length > 0) printKeys(keys);
  });
}

function printAccount(row: AccountRow, limits: AccountLimits): void {
  const lines = [
    ["id", row.id],
    ["name", row.name],
    ["role", row.role],
    ["state", row.state],
    ["plan", row.plan],
    ["e-mail", emailOf(row)],
    ["trial until", timeOf(row.trialEndsAt)],
    ...Object.entries(limits).map(([name, value]) => [
      name,
      `${value ?? "none"}${name in row.overrides ? " (by contract)" : ""}`,
    ]),
  ];
  const width = Math.max(...lines.map(([name]) => name!.length)) + 2;
  for (const [name, value] of lines) print(`${name!.padEnd(width)}${value}`);
}

async function setPlan(account: string, planName: string, options: Common, env: Env): Promise<void> {
  const plan = await withAccounts(options, env, (accounts) => accounts.setPlan(account, planName));
  if (options.json) printJson({ account, plan });
  say(`${account} is on ${plan} now. ${WITHIN}`);
}

async function override(account: string, changes: Changes, options: Common, env: Env): Promise<void> {
  const overrides = await withAccounts(options, env, (accounts) => accounts.override(account, changes));
  if (options.json) printJson({ account, overrides });
  say(
    `By contract, ${account} has ${overridesOf({ overrides }) === "-" ? "nothing" : overridesOf({ overrides })}. ${WITHIN}`,
  );
}

async function verify(account: string, options: Common & { email?: string }, env: Env): Promise<void> {
  await withAccounts(options, env, (accounts) => accounts.verify(account, options.email));
  if (options.json) printJson({ account, verified: true });
  say(`The e-mail address of ${account} counts as verified.`);
}

async function trial(account: string, options: Common, env: Env): Promise<void> {
  const trialEndsAt = await withAccounts(options, env, (accounts) => accounts.startTrial(account));
  if (options.json) printJson({ account, trialEndsAt: isoOf(trialEndsAt) });
  say(`${account} has all models until ${timeOf(trialEndsAt)} UTC. ${WITHIN}`);
}

async function setState(account: string, to: "disabled" | "enabled", options: Common, env: Env): Promise<void> {
  await withAccounts(options, env, (accounts) =>
    to === "disabled" ? accounts.disableAccount(account) : accounts.enableAccount(account),
  );
  if (options.json) printJson({ account, state: to });
  say(`${account} is ${to}. ${WITHIN}`);
}

const WITHIN = "A running server goes by it within a second.";

function emailOf({ email, verifiedAt }: AccountRow): string {
  return email === null ? "-" : `${email}${verifiedAt === null ? " (not verified)" : ""}`;
}

function overridesOf({ overrides }: Pick<AccountRow, "overrides">): string {
  const parts = Object.entries(overrides).map(([name, value]) => `${name}=${value ?? "none"}`);
  return parts.join(", ") || "-";
}

/** Times as ISO 8601, in UTC. */
function forPrograms(row: AccountRow) {
  return {
    ...row,
    verifiedAt: isoOf(row.verifiedAt),
    trialEndsAt: isoOf(row.trialEndsAt),
    createdAt: isoOf(row.createdAt),
    disabledAt: isoOf(row.disabledAt),
  };
}
