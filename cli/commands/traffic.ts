// `oxbow traffic`: shows what traffic.yaml says, and has a running server read it again.

import type { Command } from "commander";
import type { TrafficTable } from "../../server/config.ts";
import { type Common, type Env, HOME, homeOf, JSON_OUTPUT, withAccounts } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { isoOf } from "../values.ts";

interface ListOptions {
  data?: string;
  json?: boolean;
}

export function addTraffic(program: Command, env: Env): void {
  const traffic = program
    .command("traffic")
    .description("show splits, mirrors and recordings, and bring changes to a running server");

  traffic
    .command("list")
    .description("show what traffic.yaml says")
    .option("--data <folder>", "where traffic.yaml is (OXBOW_DATA, the project's own)")
    .option(...JSON_OUTPUT)
    .action((options: ListOptions) => list(options, env));

  traffic
    .command("reload")
    .description("have the running server read its traffic.yaml again; a file with an error changes nothing")
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action((options: Common) => reload(options, env));
}

async function list(options: ListOptions, env: Env): Promise<void> {
  const { loadConfig } = await import("../../server/config.ts");
  const { traffic } = loadConfig({ env, dataDir: options.data, keysElsewhere: true });
  if (options.json) {
    printJson(traffic);
    return;
  }
  const lines = linesOf(traffic);
  if (lines.length === 0) say("Nothing is split, mirrored or recorded.");
  else printTable(["WHAT", "OF", "SHARE", "TO"], lines);
}

interface Place {
  model?: string;
  engine?: string;
  tag?: string;
}

function linesOf({ splits, mirrors, record }: TrafficTable): string[][] {
  const lines: string[][] = [];
  for (const { model, sticky, targets } of splits) {
    const sum = targets.reduce((total, { weight }) => total + weight, 0);
    for (const target of targets) {
      lines.push([`split by ${sticky}`, model, percent(target.weight / sum), placeOf(target, model)]);
    }
  }
  for (const { model, share, to } of mirrors) lines.push(["mirror", model, percent(share), placeOf(to, model)]);
  for (const id of record.accounts) lines.push(["record", `account ${id}`, percent(1), "traffic/recording.jsonl"]);
  return lines;
}

function placeOf({ model, engine, tag }: Place, asked: string): string {
  const where = engine === undefined ? tag && `tag:${tag}` : `engine:${engine}`;
  return [model ?? asked, where].filter((part) => part !== undefined).join(" ");
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

async function reload(options: Common, env: Env): Promise<void> {
  const { reloadTable } = await import("../running.ts");
  const { pid, at, inForce } = await reloadTable(await homeOf(options, env), "traffic");
  if (options.json) printJson({ pid, at: isoOf(at), traffic: inForce });
  const what = inForce.length === 0 ? "nothing is split, mirrored or recorded" : inForce.join(", ");
  say(`The server (pid ${pid}) goes by traffic.yaml as it is now: ${what}.`);
  await warnOfStrangers(inForce, options, env);
}

/** Recordings go by the id of an account: with anything else nothing is recorded, and nobody would know why. */
function warnOfStrangers(inForce: readonly string[], options: Common, env: Env): Promise<void> {
  return withAccounts(options, env, async ({ listAccounts }) => {
    const ids = new Set((await listAccounts()).map(({ id }) => id));
    for (const entry of inForce) {
      const id = /^record (.*)$/.exec(entry)?.[1];
      if (id !== undefined && !ids.has(id)) say(`No account has the id ${id}: nothing is recorded for it.`);
    }
  });
}
