// `oxbow split`: what became of the calls on each side of a split.

import type { Command } from "commander";
import type { Distribution, SideReport } from "../../server/traffic/traffic.ts";
import type { Env } from "../home.ts";
import { printTable, say } from "../output.ts";
import { addReport } from "../traffic-report.ts";

const HEADINGS = ["MODEL", "SIDE", "CALLS", "ERRORS", "REFUSED", "TTFT MS", "DURATION MS", "IN", "OUT", "TOKENS/S"];

export function addSplit(program: Command, env: Env): void {
  const split = program.command("split").description("compare the sides of a split (traffic.yaml)");
  addReport<SideReport>(split, env, {
    description: "show latencies, errors and tokens of each side",
    read: async (home, since) => (await import("../../server/traffic/traffic.ts")).reportSplits(home, since),
    show(sides) {
      if (sides.length === 0) say("No call was on a side of a split: see `splits` in traffic.yaml.");
      printTable(HEADINGS, sides.map(lineOf));
      if (sides.length > 0) say("Milliseconds are p50 / p95 / p99 of answered calls.");
    },
  });
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
