// `oxbow engines`: adds, drains and removes engines, while the server runs or before it does.

import type { EngineObject } from "@oxbow/contract";
import type { Command } from "commander";
import { type Asker, askList } from "../ask.ts";
import { findEngine, openEngines } from "../engine-table.ts";
import { type Common, type Env, HOME, homeOf, JSON_OUTPUT } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { countOf, listOf } from "../values.ts";
import { type AddOptions, addEngine } from "./engines-add.ts";

interface ListOptions extends Common, Asker {}

interface DrainOptions extends Common {
  undo?: boolean;
}

export function addEngines(program: Command, env: Env): void {
  const engines = program
    .command("engines")
    .description("add, drain and remove engines, and bring changes to a running server");

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
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action((id: string, options: AddOptions) => addEngine(id, options, env));

  engines
    .command("list")
    .description("show the engines of a running server and how they stand")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key of an admin account; the environment (OXBOW_API_KEY) keeps it out of the history")
    .option(...JSON_OUTPUT)
    .action((options: ListOptions) => list(options, env));

  engines
    .command("drain <id>")
    .description("send no more calls to an engine; those it has may end")
    .option("--undo", "send it calls again")
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action((id: string, options: DrainOptions) => drain(id, options, env));

  engines
    .command("remove <id>")
    .description("drain an engine, and forget it when its calls have ended")
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action((id: string, options: Common) => remove(id, options, env));

  engines
    .command("reload")
    .description("have the running server read its engines again; a file with an error changes nothing")
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action((options: Common) => reload(options, env));
}

async function list(options: ListOptions, env: Env): Promise<void> {
  const engines = await askList<EngineObject>("/engines", options, env);
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

function stateOf({ state, reason, share }: EngineObject): string {
  if (reason !== undefined) return `${state}: ${reason}`;
  return share < 1 && state === "warm" ? `warm, ${Math.round(share * 100)} % of its share` : state;
}

async function drain(id: string, options: DrainOptions, env: Env): Promise<void> {
  const { own, read, bring } = await openEngines(options, env);
  const { id: _, drain: __, ...row } = findEngine(read(), id);
  own.set(id, options.undo ? row : { ...row, drain: true });
  const told = await bring(`The engine ${id} ${options.undo ? "gets calls again" : "drains: it gets no more calls"}`);
  if (options.json) printJson({ id, ...told });
}

async function remove(id: string, options: Common, env: Env): Promise<void> {
  const { own, read, isGiven, bring } = await openEngines(options, env);
  findEngine(read(), id);
  if (isGiven(id)) own.set(id, null);
  else own.forget(id);
  read(own.text()); // one engine at least must be left
  const told = await bring(`The engine ${id} is removed`);
  if (options.json) printJson({ id, ...told });
}

async function reload(options: Common, env: Env): Promise<void> {
  const { reloadTable } = await import("../running.ts");
  const { pid, inForce } = await reloadTable(await homeOf(options, env), "engines");
  if (options.json) printJson({ pid, engines: inForce });
  say(`The server (pid ${pid}) goes by its engines as they are now: ${inForce.join(", ")}.`);
}
