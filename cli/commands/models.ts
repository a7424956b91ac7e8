// `oxbow models`: what a running server can be asked for, and whether it is warm.

import type { ModelObject } from "@oxbow/contract";
import type { Command } from "commander";
import { type Asker, askList } from "../ask.ts";
import type { Env } from "../home.ts";
import { printJson, printTable } from "../output.ts";

interface ModelsOptions extends Asker {
  json?: boolean;
}

export function addModels(program: Command, env: Env): void {
  program
    .command("models")
    .description("show what a running server serves, and in what state it is")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--json", "print JSON")
    .action((options: ModelsOptions) => models(options, env));
}

async function models(options: ModelsOptions, env: Env): Promise<void> {
  const list = await askList<ModelObject>("/models", options, env);
  if (options.json) {
    printJson(list);
    return;
  }
  const rows = list.map((model) => [model.id, model.category, model.tier, contextOf(model), stateOf(model)]);
  printTable(["ID", "CATEGORY", "TIER", "CONTEXT", "STATE"], rows);
}

function contextOf({ context_window: tokens }: ModelObject): string {
  return tokens ? String(tokens) : "-";
}

function stateOf({ state, progress, reason, simulated }: ModelObject): string {
  const percent = progress === undefined ? "" : ` ${Math.round(progress * 100)} %`;
  const note = simulated ? " (simulated)" : reason ? `: ${reason}` : "";
  return `${state}${percent}${note}`;
}
