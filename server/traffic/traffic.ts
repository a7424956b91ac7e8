// What is done with calls besides answering them: they are split between models, sent to a second engine, and recorded. By
// data/traffic.yaml, which may change while calls run.

import { join } from "node:path";
import type { TrafficTable } from "../config.ts";
import { type Begun, type Copy, createCopy, type FirstAnswer } from "./copy.ts";
import type { Ended } from "./ended.ts";
import { createJournal, journalFiles, readJournal } from "./journal.ts";
import { createMirrorLine, type MirrorCounts, type MirrorLine, type SendSecond } from "./mirror.ts";
import { type MirrorRow, mirrorReport } from "./mirror-report.ts";
import { recordingOf } from "./recording.ts";
import { type Split, type SplitSide, sideOf } from "./split.ts";
import { rowOf, type SplitRow, splitReport } from "./split-report.ts";

export { readSaid } from "./answer.ts";
export { compare } from "./compare.ts";
export { ANSWER_BYTES_MAX, type Begun, type Copy } from "./copy.ts";
export type { SecondAnswer, SendSecond } from "./mirror.ts";
export { type MirrorReport, type MirrorRow, mirrorReport } from "./mirror-report.ts";
export { type Recorded, readRecording, redactSaid } from "./recording.ts";
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

export type Traffic = ReturnType<typeof createTraffic>;

/** A row is some 200 to 500 bytes: about 100,000 calls. */
const ROWS_BYTES_MAX = 32 * 1024 * 1024;
const ROWS_AGE_MS_MAX = 30 * 86_400_000;
const RECORDINGS = "recording";
const SWEEP_MS = 3_600_000;

/** What answers in texts, which can be compared. */
const COMPARED: ReadonlySet<string> = new Set(["/v1/chat/completions", "/v1/completions"]);

export function createTraffic({ table, home, send, answerMsMax, random, now, log }: TrafficOptions) {
  const folder = folderOf(home);
  const rows = { folder, bytesMax: ROWS_BYTES_MAX, ageMsMax: ROWS_AGE_MS_MAX, now, log };
  const sides = createJournal({ ...rows, name: "split" });
  const comparisons = createJournal({ ...rows, name: "mirror" });
  const recordings = createJournal({ ...rows, name: RECORDINGS, ...boundsOf(table) });
  const mirrorOptions = { send, answerMsMax, now, note: (row: MirrorRow) => comparisons.add(row) };
  let splits = new Map<string, Split>();
  let shares = new Map<string, number>();
  let recorded: ReadonlySet<string> = new Set();
  let inForce: string[] = [];
  /** Also those that are not in the table any more: what they count stays. */
  const lines = new Map<string, MirrorLine>();

  function apply(next: TrafficTable): void {
    splits = new Map(next.splits.map((split) => [split.model, split]));
    shares = new Map(next.mirrors.map(({ model, share }) => [model, share]));
    recorded = new Set(next.record.accounts);
    inForce = next.splits
      .map(({ model }) => `split ${model}`)
      .concat(next.mirrors.map(({ model }) => `mirror ${model}`));
    for (const id of next.record.accounts) inForce.push(`record ${id}`);
    recordings.bound(boundsOf(next));
    for (const mirror of next.mirrors) {
      const line = lines.get(mirror.model);
      if (line) line.set(mirror);
      else lines.set(mirror.model, createMirrorLine(mirror, mirrorOptions));
    }
  }
  apply(table);

  const journals = [sides, comparisons, recordings];
  const sweepAll = () => Promise.all(journals.map((journal) => journal.sweep()));
  void sweepAll();
  const sweeping = setInterval(sweepAll, SWEEP_MS);
  sweeping.unref();

  function write(call: Begun, answer: FirstAnswer): void {
    try {
      const line = recordingOf(call, answer, now());
      if (line !== null) recordings.add(line);
    } catch (cause) {
      log.warn({ cause: cause instanceof Error ? cause.name : "unknown" }, "a call could not be recorded");
    }
  }

  return {
    /** From now on this is what is done. Calls that run keep their side. */
    apply,
    /** A line for each entry of the table: `split llama-3.3-70b`. */
    inForce: () => inForce,
    /**
     * The side of a call for a model that is split.
     * @returns null: the model is not split
     */
    sideOf(modelId: string, accountId: string, body: Record<string, unknown>): SplitSide | null {
      const split = splits.get(modelId);
      return split === undefined ? null : sideOf(split, accountId, body);
    },
    /**
     * The answer of a call has begun.
     * @returns who is to be told of the rest; null: nobody
     */
    begun(call: Begun): Copy | null {
      const share = shares.get(call.model);
      const records = recorded.has(call.accountId);
      if ((share === undefined && !records) || !COMPARED.has(call.path)) return null;
      const mirrored = share !== undefined && random() < share ? lines.get(call.model)!.take(call) : null;
      if (mirrored === null && !records) return null;
      return createCopy((answer) => {
        mirrored?.(answer);
        // Not before the caller has what he waits for: reading and redacting takes its time.
        if (records) setTimeout(() => write(call, answer), 0);
      });
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
      clearInterval(sweeping);
      for (const line of lines.values()) line.stop();
      await Promise.all(journals.map((journal) => journal.flush()));
    },
  };
}

function boundsOf({ record }: TrafficTable): { bytesMax: number; ageMsMax: number } {
  return { bytesMax: record.bytesMax, ageMsMax: record.daysMax * 86_400_000 };
}

/** Where recordings are: the older file first. Either may not be there. */
export function recordingsIn(home: string): string[] {
  return journalFiles(folderOf(home), RECORDINGS).toReversed();
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
