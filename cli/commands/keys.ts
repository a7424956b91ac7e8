// `oxbow keys`: makes, lists and revokes API keys, in the home itself: it works whether or not a server runs, and one
// that does sees the change within a second.

import type { Command } from "commander";
import type { Accounts, KeyRow } from "../../server/accounts/accounts.ts";
import { print, printJson, printTable, say } from "../output.ts";

type Env = Record<string, string | undefined>;

interface Common {
  home?: string;
  json?: boolean;
}

export function addKeys(program: Command, env: Env): void {
  const keys = program.command("keys").description("make, list and revoke API keys");
  const add = (usage: string, description: string) =>
    keys
      .command(usage)
      .description(description)
      .option("--home <folder>", "the server's home (OXBOW_HOME, ~/.oxbow)")
      .option("--json", "print JSON");

  add("create", "make a key and print it, this once")
    .option("--name <name>", "what it is for, to tell it from others", "unnamed")
    .option("--account <account>", "name or id of its account (the first admin account)")
    .action((options: Common & { name: string; account?: string }) => create(options, env));

  add("list", "show all keys, without what makes them work").action((options: Common) => list(options, env));

  add("revoke", "refuse a key from now on, for good")
    .argument("<id>", "the eight characters after ox_live_, or as shown by `keys list`")
    .action((id: string, options: Common) => revoke(id, options, env));
}

async function create(options: Common & { name: string; account?: string }, env: Env): Promise<void> {
  await withAccounts(options, env, async (accounts) => {
    const { loadConfig } = await import("../../server/config.ts");
    // The home may be new: the account that the server would make at its first start.
    await accounts.ensureAdmin(loadConfig({ env }).adminPlan);
    const { id, key, name, accountName } = await accounts.createKey({ name: options.name, account: options.account });
    if (options.json) printJson({ id, key, name, account: accountName });
    else print(key);
    say(`Key ${id} (${name}) of the account ${accountName}. It is shown this once: keep it.`);
  });
}

async function list(options: Common, env: Env): Promise<void> {
  const rows = await withAccounts(options, env, (accounts) => accounts.listKeys());
  if (options.json) {
    printJson(rows.map(forPrograms));
    return;
  }
  const headings = ["ID", "NAME", "ACCOUNT", "STATE", "CREATED", "EXPIRES", "LAST USED"];
  const lines = rows.map((row) => [
    row.id,
    row.name,
    row.accountName,
    row.state,
    timeOf(row.createdAt),
    timeOf(row.expiresAt),
    timeOf(row.lastUsedAt),
  ]);
  printTable(headings, lines);
}

async function revoke(id: string, options: Common, env: Env): Promise<void> {
  await withAccounts(options, env, (accounts) => accounts.revokeKey(id));
  if (options.json) printJson({ id, state: "revoked" });
  say(`Key ${id} is revoked. A running server refuses it within a second.`);
}

async function withAccounts<T>(options: Common, env: Env, work: (accounts: Accounts) => Promise<T>): Promise<T> {
  const { loadPlace } = await import("../../server/config.ts");
  const { openStore } = await import("../../server/store/store.ts");
  const { createAccounts } = await import("../../server/accounts/accounts.ts");
  const { home, pepper } = loadPlace({ env, home: options.home });
  const store = await openStore(home);
  try {
    return await work(await createAccounts(store, { home, pepper, now: Date.now }));
  } finally {
    await store.close();
  }
}

/** Times as ISO 8601, in UTC. */
function forPrograms({ accountName, createdAt, expiresAt, revokedAt, lastUsedAt, ...row }: KeyRow) {
  return {
    ...row,
    account: accountName,
    createdAt: isoOf(createdAt),
    expiresAt: isoOf(expiresAt),
    revokedAt: isoOf(revokedAt),
    lastUsedAt: isoOf(lastUsedAt),
  };
}

function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function timeOf(ms: number | null): string {
  return isoOf(ms)?.slice(0, 16).replace("T", " ") ?? "-";
}
