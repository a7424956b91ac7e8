// What is done with calls besides answering them: they are split between models. By data/traffic.yaml, which may change while
// calls run.

import { join } from "node:path";
import type { TrafficTable } from "../config.ts";
import { createJournal, readJournal } from "./journal.ts";
import { type Split, sideOf } from "./split.ts";
import { rowOf, type SplitRow, splitReport } from "./split-report.ts";

export type { Distribution, SideReport } from "./split-report.ts";

export interface TrafficOptions {
  table: TrafficTable;
  /** The server's home: what is written down stands in its folder `traffic`. */
  home: string;
  /** Unix milliseconds. */
  now: () => number;
  log: { warn(fields: object, text: string): void };
}

/** A request that has ended, as far as a report speaks of it. */
export interface Ended {
  model: string;
  /** The side of a split that it was on; "": it was on none. */
  side: string;
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

/** A row is about 200 bytes: some 150,000 calls. */
const SPLIT_BYTES_MAX = 32 * 1024 * 1024;
const SPLIT_AGE_MS_MAX = 30 * 86_400_000;

export function createTraffic({ table, home, now, log }: TrafficOptions) {
  const folder = folderOf(home);
  const sides = createJournal({
    folder,
    name: "split",
    bytesMax: SPLIT_BYTES_MAX,
    ageMsMax: SPLIT_AGE_MS_MAX,
    now,
    log,
  });
  let splits = new Map<string, Split>();

  function apply(next: TrafficTable): void {
    splits = new Map(next.splits.map((split) => [split.model, split]));
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
    /** A request has ended. */
    ended(record: Ended): void {
      if (record.side !== "") sides.add(rowOf(record, now()));
    },
    /** Writes what waits. */
    close: (): Promise<void> => sides.flush(),
  };
}

/** What became of the sides of all splits, of calls that ended at `since` or later. @param since Unix milliseconds */
export function reportSplits(home: string, since = 0) {
  return splitReport(readJournal<SplitRow>(folderOf(home), "split").filter(({ at }) => at >= since));
}

function folderOf(home: string): string {
  return join(home, "traffic");
}
