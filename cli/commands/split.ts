// `oxbow split`: what became of the calls on each side of a split.

import type { Command } from "commander";
import type { Distribution, SideReport } from "../../server/traffic/traffic.ts";
import type { Env } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { durationOf } from "../values.ts";

interface ReportOptions {
  home?: string;
  since?: number;
  json?: boolean;
}

export function addSplit(program: Command, env: Env): void {
  const split = program.command("split").description("compare the sides of a split (traffic.yaml)");
  split
    .command("report")
    .description("show latencies, errors and tokens of each side")
    .option("--since <duration>", "only calls that ended within it: 30m, 24h, 7d", durationOf)
    .option("--home <folder>", "the server's home (OXBOW_HOME, ~/.oxbow)")
    .option("--json", "print JSON")
    .action((options: ReportOptions) => report(options, env));
}

async function report(options: ReportOptions, env: Env): Promise<void> {
  const { loadPlace } = await import("../../server/config.ts");
  const { reportSplits } = await import("../../server/traffic/traffic.ts");
  const since = options.since === undefined ? 0 : Date.now() - options.since;
  const sides = reportSplits(loadPlace({ env, home: options.home }).home, since);
  if (options.json) {
    printJson(sides);
    return;
  }
  if (sides.length === 0) say("No call was on a side of a split: see `splits` in traffic.yaml.");
  const headings = ["MODEL", "SIDE", "CALLS", "ERRORS", "REFUSED", "TTFT MS", "DURATION MS", "IN", "OUT", "TOKENS/S"];
  printTable(headings, sides.map(lineOf));
  if (sides.length > 0) say("Milliseconds are p50 / p95 / p99 of answered calls.");
}

function lineOf(side: SideReport): string[] {
  const { calls, errors, tokensPerSecond } = side;
  return [
    side.model,
    side.side,
    String(calls),
    errors === 0 ? "0" : `${errors} (${((errors / calls) * 100).toFixed(1)} %)`,
    String(side.refusals),
    textOf(side.ttft),
    textOf(side.duration),
    String(side.tokensIn),
    String(side.tokensOut),
    tokensPerSecond === null ? "-" : tokensPerSecond.toFixed(1),
  ];
}

function textOf({ p50, p95, p99 }: Distribution): string {
  return p50 === null ? "-" : [p50, p95, p99].map((each) => Math.round(each!)).join(" / ");
}
