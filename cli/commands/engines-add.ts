// `oxbow engines add`: what the new engine is, asked of its server before anything is written.

import type { EngineTable } from "../../server/config.ts";
import { openEngines } from "../engine-table.ts";
import { CommandError, EXIT } from "../exit.ts";
import { type Common, type Env, withAccounts } from "../home.ts";
import { printJson, say } from "../output.ts";

export interface AddOptions extends Common {
  kind: string;
  url?: string;
  model: string[];
  slots: number;
  weight?: number;
  tags?: string[];
  keyEnv?: string;
  accounts?: string[];
  pool?: string;
  pinned: boolean;
  force?: boolean;
}

export async function addEngine(id: string, options: AddOptions, env: Env): Promise<void> {
  if (options.model.length === 0)
    throw new CommandError("Say which models it serves: --model ID, or --model ID=NAME.", EXIT.usage);
  const { own, read, bring } = await openEngines(options, env);
  const { kinds } = read();
  const accounts = options.accounts && (await idsOf(options.accounts, options, env));
  const entry = entryOf({ ...options, ...(accounts ? { accounts } : {}) }, kinds[options.kind]?.loadsFiles === true);
  own.set(id, entry);
  // Checked as the server will check it, keys included, before anything is asked or written.
  const table = read(own.text(), env);
  const found = await examine(table, id, env);
  for (const line of found?.lines ?? []) say(line);
  if (found?.problem && !options.force)
    throw new CommandError(`${found.problem} Nothing was added; --force adds it all the same.`);
  const told = await bring(`The engine ${id} is added`);
  if (options.json) printJson({ id, ...told, found: found?.found ?? null });
}

/** An engine for an account that is not there would serve nobody, and nobody would know why. */
function idsOf(accounts: readonly string[], options: Common, env: Env): Promise<string[]> {
  return withAccounts(options, env, async ({ showAccount }) => {
    const ids: string[] = [];
    for (const each of accounts) ids.push(each === MIRROR ? each : (await showAccount(each)).id);
    return ids;
  });
}

/** Whose calls mirrors make (docs/traffic.md): no account has this id. */
const MIRROR = "mirror";

/** What goes into the file: nothing that is a default anyway. */
function entryOf(options: AddOptions, loadsFiles: boolean): object {
  const models = options.model.map((text) => {
    const [id = "", name] = split(text);
    return name === undefined ? { id } : { id, [loadsFiles ? "file" : "name"]: name };
  });
  return {
    kind: options.kind,
    ...(options.url === undefined ? {} : { url: options.url }),
    models,
    slots: options.slots,
    ...(options.weight === undefined ? {} : { weight: options.weight }),
    ...(options.tags === undefined ? {} : { tags: options.tags }),
    ...(options.keyEnv === undefined ? {} : { apiKeyEnv: options.keyEnv }),
    ...(options.accounts === undefined ? {} : { accounts: options.accounts }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    ...(options.pinned ? {} : { pinned: false }),
  };
}

/** At the first `=`: names of models may hold more of them. */
function split(text: string): string[] {
  const at = text.indexOf("=");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** Asks a server what it is. Null for what runs here. */
async function examine({ engines, kinds }: EngineTable, id: string, env: Env) {
  const entry = engines.find((each) => each.id === id);
  if (entry?.url === undefined) return null;
  const { createRemoteEngine, probe } = await import("../../server/engines/engines.ts");
  const engine = createRemoteEngine(entry, kinds[entry.kind]!, env, []);
  const ids = entry.models === "all" ? [] : entry.models.map((model) => model.id);
  const found = await probe(engine, AbortSignal.timeout(PROBE_MS_MAX), ids);
  const wanted = ids.map((id) => engine.nameOf(id));
  const missing = wanted.filter((name) => !found.models.includes(name));
  const lines = [
    `${entry.url}: ${found.problem === null ? "answers and says that it is well" : "is not as it should be"}`,
    `  version    ${found.version ?? "not told"}`,
    `  models     ${found.models.length === 0 ? "none told" : shown([...wanted.filter((name) => found.models.includes(name)), ...found.models.filter((name) => !wanted.includes(name))])}`,
    `  metrics    ${found.metrics ? "yes: its load is followed" : "no: only our own calls are counted"}`,
    `  priority   ${found.prioritySupported ? "yes: the class of a call is sent" : "no: only our own line goes by it"}`,
  ];
  const problem = !found.healthy
    ? `The engine ${id} at ${entry.url} cannot be used. ${found.problem}`
    : missing.length > 0
      ? `It does not serve ${missing.join(", ")}: --model ID=NAME says what it calls a model.`
      : null;
  return { found, lines, problem };
}

const PROBE_MS_MAX = 15_000;
const NAMES_SHOWN = 4;

function shown(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return names.slice(0, NAMES_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
