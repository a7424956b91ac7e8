// How mirrored answers compare with those that callers got: a row for each call, and sums. Numbers alone, no text.

import { type Distribution, distributionOf } from "./split-report.ts";

/** One of two answers to a call. */
export interface Side {
  engine: string;
  /** 0: there was no answer. */
  status: number;
  code: string;
  durationMs: number;
  chars: number;
  /** Of names and arguments in calls of tools. */
  callChars: number;
  /** `finish_reason` of each choice. */
  finish: string;
  /** It ended as answers end. */
  whole: boolean;
  tokensIn: number | null;
  tokensOut: number | null;
}

/** `a` is what the caller got. */
export interface MirrorRow {
  at: number;
  model: string;
  /** The model that was asked as well. */
  to: string;
  path: string;
  stream: boolean;
  same: boolean;
  /** First character of the text that differs; null: none does. */
  differsAt: number | null;
  a: Side;
  b: Side;
}

export interface MirrorReport {
  model: string;
  to: string;
  calls: number;
  same: number;
  /** Both are whole, and say different things. */
  different: number;
  /** One broke off or was refused, where the other one was whole; or both did. */
  onlyFirstFailed: number;
  onlySecondFailed: number;
  bothFailed: number;
  /** Of two whole answers, how often these reasons to end came together: `stop / length`. */
  finish: Record<string, number>;
  /** Of the second ones that failed, why. */
  codes: Record<string, number>;
  /** Characters up to the first difference, of those that differ. */
  differsAt: Distribution;
  /** Of two whole answers: characters of the second one for each of the first. */
  lengthRatio: Distribution;
  /** Milliseconds. */
  duration: { first: Distribution; second: Distribution };
  tokensOut: { first: number; second: number };
}

export function mirrorReport(rows: readonly MirrorRow[]): MirrorReport[] {
  const groups = Map.groupBy(rows, ({ model, to }) => `${model}\n${to}`);
  return [...groups.values()].map(reportOf).sort((a, b) => a.model.localeCompare(b.model) || b.calls - a.calls);
}

function reportOf(rows: MirrorRow[]): MirrorReport {
  const { model, to } = rows[0]!;
  const both = rows.filter(({ a, b }) => a.whole && b.whole);
  const count = (is: (row: MirrorRow) => boolean) => rows.filter(is).length;
  const tokens = (side: "a" | "b") => both.reduce((sum, row) => sum + (row[side].tokensOut ?? 0), 0);
  return {
    model,
    to,
    calls: rows.length,
    same: count(({ same }) => same),
    different: both.filter(({ same }) => !same).length,
    onlyFirstFailed: count(({ a, b }) => !a.whole && b.whole),
    onlySecondFailed: count(({ a, b }) => a.whole && !b.whole),
    bothFailed: count(({ a, b }) => !a.whole && !b.whole),
    finish: tally(both.map(({ a, b }) => `${a.finish} / ${b.finish}`)),
    codes: tally(rows.flatMap(({ b }) => (b.whole ? [] : [b.code || "broke_off"]))),
    differsAt: distributionOf(both.flatMap(({ differsAt }) => (differsAt === null ? [] : [differsAt]))),
    lengthRatio: distributionOf(both.flatMap(({ a, b }) => (a.chars === 0 ? [] : [b.chars / a.chars]))),
    duration: {
      first: distributionOf(both.map(({ a }) => a.durationMs)),
      second: distributionOf(both.map(({ b }) => b.durationMs)),
    },
    tokensOut: { first: tokens("a"), second: tokens("b") },
  };
}

function tally(words: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
