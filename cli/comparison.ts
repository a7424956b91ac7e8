// How the answers of two engines compare, as `mirror report` and `replay` show it.

import type { Distribution, MirrorReport } from "../server/traffic/traffic.ts";
import { printTable, say } from "./output.ts";

const HEADINGS = ["MODEL", "SECOND", "CALLS", "SAME", "DIFFERENT", "FAILED", "PART AT", "LENGTH", "MS", "SECOND MS"];

/** A line for each pair; why answers ended, and what was wrong with second ones, goes to standard error. */
export function printComparison(reports: readonly MirrorReport[]): void {
  printTable(HEADINGS, reports.map(lineOf));
  for (const { model, to, finish, codes } of reports) {
    for (const [reasons, count] of Object.entries(finish)) say(`${model}, ${to}: ended with ${reasons}: ${count}`);
    for (const [code, count] of Object.entries(codes)) say(`${model}, ${to}: the second failed with ${code}: ${count}`);
  }
}

function lineOf(report: MirrorReport): string[] {
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
