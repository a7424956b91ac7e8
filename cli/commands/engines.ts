// `oxbow engines`: adds, drains and removes engines, while the server runs or before it does.

import type { Command } from "commander";
import type { EngineEntry } from "../../server/config.ts";
import { type Asker, askList } from "../ask.ts";
import { CommandError, EXIT } from "../exit.ts";
import { type Common, type Env, withAccounts } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { countOf, listOf } from "../values.ts";

interface AddOptions extends Common {
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

interface ListOptions extends Common, Asker {}

interface DrainOptions extends Common {
  undo?: boolean;
}

export function addEngines(program: Command, env: Env): void {
  const engines = program
    .command("engines")
    .description("add, drain and remove engines, and bring changes to a running server");
  const home = ["--home <folder>", "the server's home (OXBOW_HOME, ~/.oxbow)"] as const;
  const json = ["--json", "print JSON"] as const;

  engines
    .command("add <id>")
    .description("add an engine, or change one: it is asked what it is first")
    .requiredOption("--kind <kind>", "a kind of engines.yaml: vllm, sglang, llama-server, ollama, openai, router, ...")
    .option("--url <url>", "base URL of a server that runs elsewhere, with /v1 at its end")
    .option(
      "--model <id[=name]>",
      "a model of the catalogue, and what its server calls it, or its file; once for each",
      (value: string, all: string[]) => [...all, value],
      [],
    )
    .option("--slots <n>", "requests at the same time", countOf, 8)
    .option("--weight <n>", "its share of the calls beside other engines of the same model", Number)
    .option("--tags <tags>", "words of your own, with commas", listOf)
    .option("--key-env <name>", "the environment variable of the server that holds its API key")
    .option("--accounts <ids>", "serve these accounts (names or ids) alone, with commas", listOf)
    .option("--pool <name>", "the memory that it shares with others")
    .option("--no-pinned", "do not wait for it before the server is ready")
    .option("--force", "add it although it does not answer, or does not serve the models")
    .option(...home)
    .option(...json)
    .action((id: string, options: AddOptions) => add(id, options, env));

  engines
    .command("list")
    .description("show the engines of a running server and how they stand")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key of an admin account; the environment (OXBOW_API_KEY) keeps it out of the history")
    .option(...json)
    .action((options: ListOptions) => list(options, env));

  engines
    .command("drain <id>")
    .description("send no more calls to an engine; those it has may end")
    .option("--undo", "send it calls again")
    .option(...home)
    .option(...json)
    .action((id: string, options: DrainOptions) => drain(id, options, env));

  engines
    .command("remove <id>")
    .description("drain an engine, and forget it when its calls have ended")
    .option(...home)
    .option(...json)
    .action((id: string, options: Common) => remove(id, options, env));

  engines
    .command("reload")
    .description("have the running server read its engines again; a file with an error changes nothing")
    .option(...home)
    .option(...json)
    .action((options: Common) => reload(options, env));
}

async function add(id: string, options: AddOptions, env: Env): Promise<void> {
  if (options.model.length === 0)
    throw new CommandError("Say which models it serves: --model ID, or --model ID=NAME.", EXIT.usage);
  const { own, read } = await openTable(options, env);
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
  const told = await bring(options, env, own, `The engine ${id} is added`);
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

type Table = Awaited<ReturnType<typeof openTable>>["read"] extends (...args: never[]) => infer T ? T : never;

/** Asks a server what it is. Null for what runs here. */
async function examine({ engines, kinds }: Table, id: string, env: Env) {
  const entry = engines.find((each) => each.id === id);
  if (entry?.url === undefined) return null;
  const { createRemoteEngine, probe } = await import("../../server/engines/engines.ts");
  const engine = createRemoteEngine(entry, kinds[entry.kind]!, env, []);
  const ids = entry.models === "all" ? [] : entry.models.map((model) => model.id);
  const found = await probe(engine, AbortSignal.timeout(PROBE_MS_MAX), ids);
  const wanted = ids.map((id) => engine.nameOf(id));
  const missing = wanted.filter((name) => !found.models.includes(name));
  const lines = [
    `${entry.url}: ${found.healthy ? "answers and says that it is well" : "does not answer, or does not say that it is well"}`,
    `  version    ${found.version ?? "not told"}`,
    `  models     ${found.models.length === 0 ? "none told" : shown([...wanted.filter((name) => found.models.includes(name)), ...found.models.filter((name) => !wanted.includes(name))])}`,
    `  metrics    ${found.metrics ? "yes: its load is followed" : "no: only our own calls are counted"}`,
    `  priority   ${found.prioritySupported ? "yes: the class of a call is sent" : "no: only our own line goes by it"}`,
  ];
  const problem = !found.healthy
    ? `The engine ${id} does not answer at ${entry.url}.`
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

interface Listed {
  id: string;
  kind: string;
  url?: string;
  models: string[];
  state: string;
  reason?: string;
  slots: number;
  used: number;
  weight: number;
  share: number;
  load: { running: number; waiting: number; kv_usage: number | null } | null;
}

async function list(options: ListOptions, env: Env): Promise<void> {
  const engines = await askList<Listed>("/engines", options, env);
  if (options.json) {
    printJson(engines);
    return;
  }
  const rows = engines.map((engine) => [
    engine.id,
    engine.kind,
    engine.url ?? "here",
    engine.models.length > 3 ? `${engine.models.length} models` : engine.models.join(", "),
    `${engine.used}/${engine.slots}`,
    String(engine.weight),
    engine.load === null ? "-" : `${engine.load.running}+${engine.load.waiting}`,
    stateOf(engine),
  ]);
  printTable(["ID", "KIND", "WHERE", "MODELS", "BUSY", "WEIGHT", "LOAD", "STATE"], rows);
}

function stateOf({ state, reason, share }: Listed): string {
  if (reason !== undefined) return `${state}: ${reason}`;
  return share < 1 && state === "warm" ? `warm, ${Math.round(share * 100)} % of its share` : state;
}

async function drain(id: string, options: DrainOptions, env: Env): Promise<void> {
  const { own, read } = await openTable(options, env);
  const { drain: _, ...entry } = rowOf(find(read(), id));
  own.set(id, options.undo ? entry : { ...entry, drain: true });
  const told = await bring(
    options,
    env,
    own,
    `The engine ${id} ${options.undo ? "gets calls again" : "drains: it gets no more calls"}`,
  );
  if (options.json) printJson({ id, ...told });
}

async function remove(id: string, options: Common, env: Env): Promise<void> {
  const { own, read, given } = await openTable(options, env);
  find(read(), id);
  if (given(id)) own.set(id, null);
  else own.forget(id);
  read(own.text()); // one engine at least must be left
  const told = await bring(options, env, own, `The engine ${id} is removed`);
  if (options.json) printJson({ id, ...told });
}

function find({ engines }: Table, id: string): EngineEntry {
  const entry = engines.find((each) => each.id === id);
  if (entry) return entry;
  throw new CommandError(`There is no engine called '${id}'. There are ${engines.map((each) => each.id).join(", ")}.`);
}

/** As it stands in a file. */
function rowOf({ id: _, ...row }: EngineEntry): Omit<EngineEntry, "id"> {
  return row;
}

async function reload(options: Common, env: Env): Promise<void> {
  const { loadPlace } = await import("../../server/config.ts");
  const { reloadTable } = await import("../running.ts");
  const { pid, inForce } = await reloadTable(loadPlace({ env, home: options.home }).home, "engines");
  if (options.json) printJson({ pid, engines: inForce });
  say(`The server (pid ${pid}) goes by its engines as they are now: ${inForce.join(", ")}.`);
}

/** The engines that there are, and the file that changes them. */
async function openTable(options: Common, env: Env) {
  const { loadConfig, readEngines, readTraffic } = await import("../../server/config.ts");
  const { openOwnEngines } = await import("../own-engines.ts");
  // The catalogue is known, and whether a key is there is for the server's environment to say.
  const config = loadConfig({ env, home: options.home, simulate: true, keysElsewhere: true });
  const sources = { ...config, env: null };
  const own = openOwnEngines(config.home);
  return {
    own,
    read(text?: string, keys: Env | null = null) {
      const table = readEngines({ ...sources, env: keys, ...(text === undefined ? {} : { own: text }) });
      // An engine that traffic.yaml names must be there: without it the next start would be refused.
      readTraffic(config.dataDir, config.models, table.engines);
      return table;
    },
    given: (id: string) => readEngines({ ...sources, own: "" }).engines.some((each) => each.id === id),
  };
}

/** Writes the file and has a running server read it; what the server refuses is taken back. */
async function bring(
  options: Common,
  env: Env,
  own: Awaited<ReturnType<typeof openTable>>["own"],
  what: string,
): Promise<{ pid: number | null }> {
  const { loadPlace } = await import("../../server/config.ts");
  const { reloadTable } = await import("../running.ts");
  const { serverOn } = await import("../../server/store/store.ts");
  const { home } = loadPlace({ env, home: options.home });
  own.write();
  if (serverOn(home) === null) {
    say(`${what}. No server runs on the home ${home}: it is so when one starts.`);
    return { pid: null };
  }
  try {
    const { pid } = await reloadTable(home, "engines");
    say(`${what}. The server (pid ${pid}) knows.`);
    return { pid };
  } catch (error) {
    own.restore();
    throw error;
  }
}
