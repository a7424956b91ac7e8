// `oxbow list` and `oxbow rm`: the weights on this machine's disk.

import type { Command } from "commander";
import { type Common, type Env, JSON_OUTPUT } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { bytesText } from "../values.ts";
import { openWeights } from "../weights.ts";

export function addWeights(program: Command, env: Env): void {
  program
    .command("list")
    .description("show the weights in the cache, their sizes and the models they belong to")
    .option("--home <folder>", "where it is noted what was pulled (OXBOW_HOME, ~/.oxbow)")
    .option(...JSON_OUTPUT)
    .action((options: Common) => list(options, env));
  program
    .command("rm <model>")
    .description("remove pulled weights from the disk: of the catalogue, or owner/name[:file]")
    .option("--all", "all of the repository, also what other programs pulled")
    .option("--home <folder>", "where it is noted what was pulled (OXBOW_HOME, ~/.oxbow)")
    .option(...JSON_OUTPUT)
    .action((model: string, options: Common & { all?: boolean }) => remove(model, options, env));
}

async function list({ home, json }: Common, env: Env): Promise<void> {
  const weights = await openWeights(env, home);
  const pulled = weights.list();
  if (json) {
    printJson({ cache: weights.cache, repositories: pulled });
    return;
  }
  say(`Cache: ${weights.cache}`);
  const rows = pulled.flatMap(({ repository, models, sets, bytes }) => {
    const model = models.join(", ") || "-";
    if (sets.length === 0) return [[repository, model, "-", bytesText(bytes), "pulled by another program"]];
    return sets.map((set) => {
      const percent = Math.floor((set.bytes / Math.max(1, set.bytesTotal)) * 100);
      const state = set.complete ? "complete" : `${Math.min(99, percent)} %`;
      return [repository, model, set.weights, bytesText(set.bytes), state];
    });
  });
  printTable(["REPOSITORY", "MODEL", "WEIGHTS", "SIZE", "STATE"], rows);
}

async function remove(model: string, { home, json, all = false }: Common & { all?: boolean }, env: Env): Promise<void> {
  const bytes = (await openWeights(env, home)).remove(model, { all });
  if (json) printJson({ removed: model, bytes });
  else say(`Removed ${model}: ${bytesText(bytes)} are free now.`);
}
