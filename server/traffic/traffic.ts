// What is done with calls besides answering them: they are split between models, and sent to a second engine. By
// data/traffic.yaml, which may change while calls run.

import { join } from "node:path";
import type { TrafficTable } from "../config.ts";
import { type Begun, type Copy, createCopy, type FirstAnswer } from "./copy.ts";
import { createJournal, readJournal } from "./journal.ts";
import { createMirrorLine, type MirrorCounts, type MirrorLine, type SendSecond } from "./mirror.ts";
import { type MirrorRow, mirrorReport } from "./mirror-report.ts";
import { type Split, sideOf } from "./split.ts";
import { rowOf, type SplitRow, splitReport } from "./split-report.ts";

export { ANSWER_BYTES_MAX, type Begun, type Copy } from "./copy.ts";
export type { SecondAnswer, SendSecond } from "./mirror.ts";
export type { MirrorReport } from "./mirror-report.ts";
export type { Distribution, SideReport } from "./split-report.ts";

export interface TrafficOptions {
  table: TrafficTable;
  /** The server's home: what is written down stands in its folder `traffic`. */
  home: string;
  /** To the engine that a mirror names. */
  send: SendSecond;
  /** How long a second answer may take; milliseconds. */
  answerMsMax: number;
  /** 0 to 1. */
  random: () => number;
  /** Unix milliseconds. */
  now: () => number;
  log: { warn(fields: object, text: string): void };
}

/** A request that has ended, as far as a report speaks of it. */
export interface Ended {
  model: string;
  /** The side of a split that it was on; "": it was on none. */
  side: string;
  engine: string;
  status: number;
  code: string;
  outcome: string;
  stream: boolean;
  durationMs: number;
  waitedMs: number | null;
  firstTokenMs: number | null;
  tokensIn: number;
  tokensOut: number;
}

export type Traffic = ReturnType<typeof createTraffic>;

/** A row is some 200 to 500 bytes: about 100,000 calls. */
const ROWS_BYTES_MAX = 32 * 1024 * 1024;
const ROWS_AGE_MS_MAX = 30 * 86_400_000;

/** What answers in texts, which can be compared. */
const COMPARED: ReadonlySet<string> = new Set(["/v1/chat/completions", "/v1/completions"]);

export function createTraffic({ table, home, send, answerMsMax, random, now, log }: TrafficOptions) {
  const folder = folderOf(home);
  const rows = { folder, bytesMax: ROWS_BYTES_MAX, ageMsMax: ROWS_AGE_MS_MAX, now, log };
  const sides = createJournal({ ...rows, name: "split" });
  const comparisons = createJournal({ ...rows, name: "mirror" });
  const mirrorOptions = { send, answerMsMax, now, note: (row: MirrorRow) => comparisons.add(row) };
  let splits = new Map<string, Split>();
  let shares = new Map<string, number>();
  /** Also those that are not in the table any more: what they count stays. */
  const lines = new Map<string, MirrorLine>();

  function apply(next: TrafficTable): void {
    splits = new Map(next.splits.map((split) => [split.model, split]));
    shares = new Map(next.mirrors.map(({ model, share }) => [model, share]));
    for (const mirror of next.mirrors) {
      const line = lines.get(mirror.model);
      if (line) line.set(mirror);
      else lines.set(mirror.model, createMirrorLine(mirror, mirrorOptions));
    }
  }
  apply(table);

  return {
    /** From now on this is what is done. Calls that run keep their side. */
    apply,
    /**
     * The side of a call for a model that is split.
     * @returns the id of the model that is to answer; null: the model is not split
     */
    sideOf(modelId: string, accountId: string, body: Record<string, unknown>): string | null {
      const split = splits.get(modelId);
      return split === undefined ? null : sideOf(split, accountId, body);
    },
    /**
     * The answer of a call has begun.
     * @returns who is to be told of the rest; null: nobody
     */
    begun(call: Begun): Copy | null {
      const share = shares.get(call.model);
      if (share === undefined || random() >= share || !COMPARED.has(call.path)) return null;
      const told: ((answer: FirstAnswer) => void) | null = lines.get(call.model)!.take(call);
      return told && createCopy(told);
    },
    /** A request has ended. */
    ended(record: Ended): void {
      if (record.side !== "") sides.add(rowOf(record, now()));
    },
    /** By the model whose calls are mirrored. */
    mirrors: (): { model: string; counts: MirrorCounts }[] =>
      [...lines].map(([model, line]) => ({ model, counts: line.counts() })),
    /** Hangs up on second engines, and writes what waits. */
    async close(): Promise<void> {
      for (const line of lines.values()) line.stop();
      await Promise.all([sides.flush(), comparisons.flush()]);
    },
  };
}

/** What became of the sides of all splits, of calls that ended at `since` or later. @param since Unix milliseconds */
export function reportSplits(home: string, since = 0) {
  return splitReport(readJournal<SplitRow>(folderOf(home), "split").filter(({ at }) => at >= since));
}

/** How mirrored answers compare, of calls that ended at `since` or later. @param since Unix milliseconds */
export function reportMirrors(home: string, since = 0) {
  return mirrorReport(readJournal<MirrorRow>(folderOf(home), "mirror").filter(({ at }) => at >= since));
}

function folderOf(home: string): string {
  return join(home, "traffic");
}
