// `oxbow models`: what a running server can be asked for, and whether it is warm; or what the catalogue knows, and whether
// its weights are on this machine.

import type { ModelObject } from "@oxbow/contract";
import type { Command } from "commander";
import { type Asker, askList } from "../ask.ts";
import { type Env, JSON_OUTPUT } from "../home.ts";
import { printJson, printTable } from "../output.ts";
import { bytesText } from "../values.ts";
import { openWeights } from "../weights.ts";

interface ModelsOptions extends Asker {
  json?: boolean;
  catalogue?: boolean;
}

export function addModels(program: Command, env: Env): void {
  program
    .command("models")
    .description("show what a running server serves, and in what state it is")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--catalogue", "without a server: every model of the catalogue, and whether its weights are here")
    .option(...JSON_OUTPUT)
    .action((options: ModelsOptions) => models(options, env));
}

async function models(options: ModelsOptions, env: Env): Promise<void> {
  if (options.catalogue) {
    await showCatalogue(options, env);
    return;
  }
  const list = await askList<ModelObject>("/models", options, env);
  if (options.json) {
    printJson(list);
    return;
  }
  const rows = list.map((model) => [model.id, model.category, model.tier, contextOf(model), stateOf(model)]);
  printTable(["ID", "CATEGORY", "TIER", "CONTEXT", "STATE"], rows);
}

async function showCatalogue({ json }: ModelsOptions, env: Env): Promise<void> {
  const { loadConfig } = await import("../../server/config.ts");
  const { models } = loadConfig({ env, keysElsewhere: true });
  const weights = await openWeights(env, undefined);
  const list = models.map(({ id, category, tier, parameters, contextTokens, weights: known }) => ({
    id,
    category,
    tier,
    parameters: parameters ?? null,
    contextTokens,
    /** What `oxbow pull` brings. */
    repository: (known?.gguf ?? known?.onnx ?? known)?.hub ?? null,
    bytes: (known?.gguf ?? known?.onnx ?? known)?.bytes ?? null,
    gated: known?.gated ?? false,
    pulled: weights.pathOf(id),
  }));
  if (json) {
    printJson(list);
    return;
  }
  const rows = list.map(({ id, category, contextTokens, repository, bytes, pulled }) => [
    id,
    category,
    contextTokens === null ? "-" : String(contextTokens),
    repository ?? "-",
    bytes === null ? "-" : bytesText(bytes),
    pulled === null ? "-" : "pulled",
  ]);
  printTable(["ID", "CATEGORY", "CONTEXT", "WEIGHTS", "SIZE", "HERE"], rows);
}

function contextOf({ context_window: tokens }: ModelObject): string {
  return tokens ? String(tokens) : "-";
}

function stateOf({ state, progress, reason, simulated }: ModelObject): string {
  const percent = progress === undefined ? "" : ` ${Math.round(progress * 100)} %`;
  const note = simulated ? " (simulated)" : reason ? `: ${reason}` : "";
  return `${state}${percent}${note}`;
}
