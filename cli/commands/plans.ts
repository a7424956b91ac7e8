// `oxbow plans`: shows what plans.yaml says, and has a running server read it again.

import type { Command } from "commander";
import type { Plan } from "../../server/config.ts";
import { type Common, type Env, HOME, homeOf, JSON_OUTPUT } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { isoOf } from "../values.ts";

interface ListOptions {
  data?: string;
  json?: boolean;
}

export function addPlans(program: Command, env: Env): void {
  const plans = program.command("plans").description("show the plans, and bring changes to a running server");

  plans
    .command("list")
    .description("show every plan in every version, as plans.yaml has it")
    .option("--data <folder>", "where plans.yaml is (OXBOW_DATA, the project's own)")
    .option(...JSON_OUTPUT)
    .action((options: ListOptions) => list(options, env));

  plans
    .command("reload")
    .description("have the running server read its plans.yaml again; a file with an error changes nothing")
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action((options: Common) => reload(options, env));
}

async function list(options: ListOptions, env: Env): Promise<void> {
  const { loadConfig } = await import("../../server/config.ts");
  const { plans } = loadConfig({ env, dataDir: options.data, keysElsewhere: true });
  if (options.json) {
    printJson(plans);
    return;
  }
  const headings = [
    "PLAN",
    "SOLD",
    "A MONTH",
    "A DAY",
    "A MINUTE",
    "INPUT",
    "OUTPUT",
    "AUDIO S",
    "PIXELS",
    "SPEECH",
    "AT ONCE",
    "TIERS",
    "TRIAL",
  ];
  printTable(headings, plans.map(lineOf));
}

function lineOf(plan: Plan): string[] {
  return [
    `${plan.id}@${plan.version}`,
    plan.sold ? "yes" : "no",
    plan.priceCents === null ? "-" : `$${(plan.priceCents / 100).toFixed(2)}`,
    ...[
      plan.requestsPerDay,
      plan.requestsPerMinute,
      plan.inputTokensMax,
      plan.outputTokensMax,
      plan.audioSecondsMax,
      plan.imagePixelsMax,
      plan.speechCharactersMax,
      plan.concurrencyMax,
    ].map((limit) => (limit === null ? "-" : String(limit))),
    plan.tiers.join(", "),
    plan.trialDays === 0 ? "-" : `${plan.trialDays} d`,
  ];
}

async function reload(options: Common, env: Env): Promise<void> {
  const { reloadTable } = await import("../running.ts");
  const { pid, at, inForce: plans } = await reloadTable(await homeOf(options, env), "plans");
  if (options.json) printJson({ pid, at: isoOf(at), plans });
  say(`The server (pid ${pid}) goes by plans.yaml as it is now: ${plans.join(", ")}.`);
}
