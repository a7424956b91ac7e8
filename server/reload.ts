// Reads the plans again when the operator asks (SIGHUP), and leaves a note in the home of how that went: a signal brings no
// answer back to who sent it.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plans, PlanTable } from "./config.ts";

/** What a server says about its plans. Only worth something while that server runs. */
export interface PlansNote {
  /** When the reading began that this is about; Unix milliseconds. */
  at: number;
  /** Why the file is not in force, in a line; null: it is. */
  error: string | null;
  /** What is in force: `pro@2026`, ... */
  plans: string[];
}

export interface ReloadOptions {
  home: string;
  plans: Plans;
  /** Throws when accounts could not live with these plans. */
  check: (plans: PlanTable["plans"]) => void;
  /** Unix milliseconds. */
  now: () => number;
  log: Log;
}

interface Log {
  info(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** What a signal calls. It never throws: whatever goes wrong, the old plans stay in force, and calls go on. */
export function createReload({ home, plans, check, now, log }: ReloadOptions): () => void {
  function note(at: number, error: string | null): void {
    const names = plans.list().map(({ id, version }) => `${id}@${version}`);
    const text = JSON.stringify({ at, error, plans: names } satisfies PlansNote);
    try {
      writeFileSync(`${fileIn(home)}.new`, text, { mode: 0o600 });
      renameSync(`${fileIn(home)}.new`, fileIn(home)); // never half of it
    } catch (cause) {
      log.error({ err: cause }, "what plans are in force could not be written to the home");
    }
  }

  note(now(), null);
  return () => {
    const at = now();
    let problem: string | null = null;
    try {
      plans.reload((table) => check(table.plans));
      log.info({ plans: plans.list().length }, "plans reloaded");
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      log.error({}, `plans not reloaded, the old ones stay in force: ${problem}`);
    }
    note(at, problem);
  };
}

/** The last note; null when there is none. */
export function readPlansNote(home: string): PlansNote | null {
  try {
    return JSON.parse(readFileSync(fileIn(home), "utf8")) as PlansNote;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function fileIn(home: string): string {
  return join(home, "plans.json");
}
