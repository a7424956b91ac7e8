// Reads tables again when the operator asks (SIGHUP), and leaves a note in the home of how that went: a signal brings no
// answer back to who sent it.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A table that can be read again, by the name of its note. */
const TABLES = ["plans", "engines"] as const;
export type TableName = (typeof TABLES)[number];

/** What a server says about a table. Only worth something while that server runs. */
export interface Note {
  /** When the reading began that this is about; Unix milliseconds. */
  at: number;
  /** Why the file is not in force, in a line; null: it is. */
  error: string | null;
  /** What is in force: `pro@2026`, ..., or the ids of engines. */
  inForce: string[];
}

export interface Table {
  name: TableName;
  /** Throws when the file is broken, or nobody could live with it: then nothing has changed. */
  read: () => void;
  inForce: () => string[];
}

export interface ReloadOptions {
  home: string;
  tables: readonly Table[];
  /** Unix milliseconds. */
  now: () => number;
  log: Log;
}

interface Log {
  info(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** What a signal calls. It never throws: whatever goes wrong with a table, the old one stays in force, and calls go on. */
export function createReload({ home, tables, now, log }: ReloadOptions): () => void {
  function note({ name, inForce }: Table, at: number, error: string | null): void {
    const text = JSON.stringify({ at, error, inForce: inForce() } satisfies Note);
    const file = fileIn(home, name);
    try {
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file); // never half of it
    } catch (cause) {
      log.error({ err: cause }, `what ${name} are in force could not be written to the home`);
    }
  }

  function reload(table: Table): void {
    const at = now();
    let problem: string | null = null;
    try {
      table.read();
      log.info({ [table.name]: table.inForce().length }, `${table.name} reloaded`);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      log.error({}, `${table.name} not reloaded, the old ones stay in force: ${problem}`);
    }
    note(table, at, problem);
  }

  for (const table of tables) note(table, now(), null);
  return () => tables.forEach(reload);
}

/** The last note; null when there is none. */
export function readNote(home: string, table: TableName): Note | null {
  try {
    return JSON.parse(readFileSync(fileIn(home, table), "utf8")) as Note;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function fileIn(home: string, table: TableName): string {
  return join(home, `${table}.json`);
}
