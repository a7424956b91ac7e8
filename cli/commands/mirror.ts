// `oxbow mirror`: how the answers of a second engine compare with those that callers got.

import type { Command } from "commander";
import type { Distribution, MirrorReport } from "../../server/traffic/traffic.ts";
import type { Env } from "../home.ts";
import { printJson, printTable, say } from "../output.ts";
import { durationOf } from "../values.ts";

interface ReportOptions {
  home?: string;
  since?: number;
  json?: boolean;
}

export function addMirror(program: Command, env: Env): void {
  const mirror = program.command("mirror").description("compare a second engine with the first (traffic.yaml)");
  mirror
    .command("report")
    .description("show how often the answers are the same, where they part, and which of them failed")
    .option("--since <duration>", "only calls that ended within it: 30m, 24h, 7d", durationOf)
    .option("--home <folder>", "the server's home (OXBOW_HOME, ~/.oxbow)")
    .option("--json", "print JSON")
    .action((options: ReportOptions) => report(options, env));
}

async function report(options: ReportOptions, env: Env): Promise<void> {
  const { loadPlace } = await import("../../server/config.ts");
  const { reportMirrors } = await import("../../server/traffic/traffic.ts");
  const since = options.since === undefined ? 0 : Date.now() - options.since;
  const reports = reportMirrors(loadPlace({ env, home: options.home }).home, since);
  if (options.json) {
    printJson(reports);
    return;
  }
  if (reports.length === 0) say("No call was mirrored: see `mirrors` in traffic.yaml.");
  printTable(HEADINGS, reports.map(comparisonLine));
  sayReasons(reports);
}

export const HEADINGS = [
  "MODEL",
  "SECOND",
  "CALLS",
  "SAME",
  "DIFFERENT",
  "FAILED",
  "PART AT",
  "LENGTH",
  "MS",
  "SECOND MS",
];

/** Why answers ended, and what was wrong with second ones. */
export function sayReasons(reports: readonly MirrorReport[]): void {
  for (const { model, to, finish, codes } of reports) {
    for (const [reasons, count] of Object.entries(finish)) say(`${model}, ${to}: ended with ${reasons}: ${count}`);
    for (const [code, count] of Object.entries(codes)) say(`${model}, ${to}: the second failed with ${code}: ${count}`);
  }
}

export function comparisonLine(report: MirrorReport): string[] {
  const { calls, onlyFirstFailed, onlySecondFailed, bothFailed } = report;
  const { p50: ratio } = report.lengthRatio;
  return [
    report.model,
    report.to,
    String(calls),
    `${report.same} (${((report.same / calls) * 100).toFixed(1)} %)`,
    String(report.different),
    `${onlyFirstFailed} / ${onlySecondFailed} / ${bothFailed}`,
    textOf(report.differsAt),
    ratio === null ? "-" : `× ${ratio.toFixed(2)}`,
    textOf(report.duration.first),
    textOf(report.duration.second),
  ];
}

/** The middle, and what all but one in twenty stay below. */
function textOf({ p50, p95 }: Distribution): string {
  return p50 === null ? "-" : `${Math.round(p50)} / ${Math.round(p95!)}`;
}
