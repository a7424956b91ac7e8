// `oxbow keys`: makes, lists, rotates, disables and revokes API keys, in the home itself: it works whether or not a server
// runs, and one that does sees the change within a second.

import type { Command } from "commander";
import type { KeyRow, MadeKey } from "../../server/accounts/accounts.ts";
import { type Common, type Env, HOME, JSON_OUTPUT, withAccounts } from "../home.ts";
import { print, printJson, printTable, say } from "../output.ts";
import { countOf, durationOf, isoOf, listOf, momentOf, timeOf } from "../values.ts";

interface CreateOptions extends Common {
  name: string;
  account?: string;
  models?: string[];
  requestsPerDay?: number;
  expires?: number;
}

export function addKeys(program: Command, env: Env): void {
  const keys = program.command("keys").description("make, list, rotate and revoke API keys");
  const add = (usage: string, description: string) =>
    keys
      .command(usage)
      .description(description)
      .option(...HOME)
      .option(...JSON_OUTPUT);
  const addChange = (usage: string, description: string) =>
    add(usage, description).argument("<id>", "the eight characters after ox_live_, or as shown by `keys list`");

  add("create", "make a key and print it, this once")
    .option("--name <name>", "what it is for, to tell it from others", "unnamed")
    .option("--account <account>", "name or id of its account (the first admin account)")
    .option("--models <models>", "only these of the account's models, with commas between them", listOf)
    .option("--requests-per-day <number>", "at most so many of the account's requests a day", countOf)
    .option("--expires <when>", "30d, 12h or 2027-01-31 (UTC)", (text) => momentOf(text, Date.now()))
    .action((options: CreateOptions) => create(options, env));

  add("list", "show all keys, without what makes them work").action((options: Common) => list(options, env));

  addChange("rotate", "make a key that takes the place of another, and print it, this once")
    .option("--grace <duration>", "how long the old one still works, up to 30d", durationOf, durationOf("1h"))
    .action((id: string, options: Common & { grace: number }) => rotate(id, options, env));

  addChange("revoke", "refuse a key from now on, for good").action((id: string, options: Common) =>
    change(id, options, env, "revoked"),
  );
  addChange("disable", "refuse a key until it is enabled").action((id: string, options: Common) =>
    change(id, options, env, "disabled"),
  );
  addChange("enable", "take a disabled key again").action((id: string, options: Common) =>
    change(id, options, env, "enabled"),
  );
}

async function create(options: CreateOptions, env: Env): Promise<void> {
  const made = await withAccounts(options, env, async (accounts, catalogue) => {
    // The home may be new: the account that the server would make at its first start.
    await accounts.ensureAdmin(catalogue().adminPlan);
    const { name, account, models, requestsPerDay, expires: expiresAt } = options;
    return accounts.createKey({ name, account, models, requestsPerDay, expiresAt });
  });
  show(made, options);
  say(`Key ${made.id} (${made.name}) of the account ${made.accountName}. It is shown this once: keep it.`);
}

async function rotate(id: string, options: Common & { grace: number }, env: Env): Promise<void> {
  const made = await withAccounts(options, env, (accounts) => accounts.rotateKey(id, options.grace));
  show(made, options, { replaces: id, graceEndsAt: isoOf(made.graceEndsAt) });
  const end = options.grace === 0 ? "which is refused now" : `which works until ${timeOf(made.graceEndsAt)} UTC`;
  say(`Key ${made.id} (${made.name}) takes the place of ${id}, ${end}. It is shown this once: keep it.`);
}

function show({ id, key, name, accountName }: MadeKey, { json }: Common, more: object = {}): void {
  if (json) printJson({ id, key, name, account: accountName, ...more });
  else print(key);
}

async function list(options: Common, env: Env): Promise<void> {
  const rows = await withAccounts(options, env, (accounts) => accounts.listKeys());
  if (options.json) printJson(rows.map(forPrograms));
  else printKeys(rows);
}

export function printKeys(rows: KeyRow[]): void {
  const headings = ["ID", "NAME", "ACCOUNT", "STATE", "NARROWED TO", "CREATED", "EXPIRES", "LAST USED"];
  const lines = rows.map((row) => [
    row.id,
    row.name,
    row.accountName,
    row.state,
    narrowingOf(row),
    timeOf(row.createdAt),
    timeOf(row.graceEndsAt ?? row.expiresAt),
    timeOf(row.lastUsedAt),
  ]);
  printTable(headings, lines);
}

function narrowingOf({ models, requestsPerDay }: KeyRow): string {
  const parts = [...(models ?? []), ...(requestsPerDay === null ? [] : [`${requestsPerDay} a day`])];
  return parts.join(", ") || "-";
}

async function change(id: string, options: Common, env: Env, to: "revoked" | "disabled" | "enabled"): Promise<void> {
  await withAccounts(options, env, (accounts) => {
    if (to === "revoked") return accounts.revokeKey(id);
    return to === "disabled" ? accounts.disableKey(id) : accounts.enableKey(id);
  });
  if (options.json) printJson({ id, state: to });
  say(`Key ${id} is ${to}. A running server ${to === "enabled" ? "takes" : "refuses"} it within a second.`);
}

/** Times as ISO 8601, in UTC. */
export function forPrograms({ accountName, ...row }: KeyRow) {
  return {
    ...row,
    account: accountName,
    createdAt: isoOf(row.createdAt),
    expiresAt: isoOf(row.expiresAt),
    disabledAt: isoOf(row.disabledAt),
    revokedAt: isoOf(row.revokedAt),
    lastUsedAt: isoOf(row.lastUsedAt),
    graceEndsAt: isoOf(row.graceEndsAt),
  };
}
