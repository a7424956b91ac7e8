// What became of the calls on each side of a split: one row for each, and the sums that tell the sides apart. Names and
// numbers alone.

import type { Ended } from "./ended.ts";

/** One call, as the journal has it. */
export interface SplitRow {
  at: number;
  model: string;
  side: string;
  status: number;
  code: string;
  outcome: string;
  stream: boolean;
  durationMs: number;
  queueMs: number | null;
  ttftMs: number | null;
  tokensIn: number;
  tokensOut: number;
}

/** Milliseconds; null where there was nothing to measure. */
export interface Distribution {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface SideReport {
  model: string;
  side: string;
  calls: number;
  /** Ours and the engine's: status 500 and more, and streams that broke off. */
  errors: number;
  /** 4xx: what the caller did wrong, or has no more of. */
  refusals: number;
  codes: Record<string, number>;
  /** Of calls that were answered. */
  duration: Distribution;
  ttft: Distribution;
  queue: Distribution;
  tokensIn: number;
  tokensOut: number;
  /** Of answered streams, after the first token. */
  tokensPerSecond: number | null;
}

export function rowOf(record: Ended, at: number): SplitRow {
  return {
    at,
    model: record.model,
    side: record.side,
    status: record.status,
    code: record.code,
    outcome: record.outcome,
    stream: record.stream,
    durationMs: Math.round(record.durationMs * 10) / 10,
    queueMs: record.waitedMs === null ? null : Math.round(record.waitedMs * 10) / 10,
    ttftMs: record.firstTokenMs,
    tokensIn: record.tokensIn,
    tokensOut: record.tokensOut,
  };
}

/** One report for each side that had calls, by model. */
export function splitReport(rows: readonly SplitRow[]): SideReport[] {
  const sides = Map.groupBy(rows, ({ model, side }) => `${model}\n${side}`);
  const reports = [...sides.values()].map(reportOf);
  return reports.sort((a, b) => a.model.localeCompare(b.model) || b.calls - a.calls);
}

function reportOf(rows: SplitRow[]): SideReport {
  const { model, side } = rows[0]!;
  const failed = rows.filter(isError);
  const answered = rows.filter((row) => row.code === "");
  const codes: Record<string, number> = {};
  for (const { code } of rows) if (code !== "") codes[code] = (codes[code] ?? 0) + 1;
  const streams = answered.filter((row) => row.ttftMs !== null && row.tokensOut > 1);
  const streamedMs = sum(streams.map((row) => row.durationMs - row.ttftMs!));
  return {
    model,
    side,
    calls: rows.length,
    errors: failed.length,
    refusals: rows.filter((row) => row.code !== "" && !isError(row)).length,
    codes,
    duration: distributionOf(answered.map(({ durationMs }) => durationMs)),
    ttft: distributionOf(answered.flatMap(({ ttftMs }) => (ttftMs === null ? [] : [ttftMs]))),
    queue: distributionOf(answered.flatMap(({ queueMs }) => (queueMs === null ? [] : [queueMs]))),
    tokensIn: sum(answered.map(({ tokensIn }) => tokensIn)),
    tokensOut: sum(answered.map(({ tokensOut }) => tokensOut)),
    tokensPerSecond: streamedMs > 0 ? (sum(streams.map((row) => row.tokensOut - 1)) / streamedMs) * 1000 : null,
  };
}

function isError({ status, outcome }: SplitRow): boolean {
  return status >= 500 || outcome === "interrupted" || outcome === "engine_failed";
}

export function distributionOf(values: number[]): Distribution {
  const sorted = [...values].sort((a, b) => a - b);
  // Nearest rank: a value that was measured, never one between two.
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
