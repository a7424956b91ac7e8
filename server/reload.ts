// Reads tables again when the operator asks (SIGHUP), and leaves a note in the home of how that went: a signal brings no
// answer back to who sent it.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A table that can be read again, by the name of its note. */
const TABLES = ["plans", "engines", "traffic"] as const;
export type TableName = (typeof TABLES)[number];

/** What a server says about a table. Only worth something while that server runs. */
export interface Note {
  /** When the reading began that this is about; Unix milliseconds. */
  at: number;
  /** Why the file is not in force, in a line; null: it is. */
  error: string | null;
  /** What is in force: `pro@2026`, ..., or the ids of engines. */
  inForce: string[];
  /** Tables that were read in the same moment, and are not in force as they are now. */
  others: { table: TableName; error: string }[];
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

/**
 * From the end of one reading to the beginning of the next, at least; milliseconds. No call goes on while tables are read,
 * which takes tens of milliseconds: whoever signals again and again must not take the server from everybody else.
 */
const APART_MS_MIN = 500;

/**
 * What a signal calls. It never throws: whatever goes wrong with a table, the old one stays in force, and calls go on. Signals
 * that come too soon after a reading are one signal, when their time has come.
 */
export function createReload({ home, tables, now, log }: ReloadOptions): () => void {
  function note({ name, inForce }: Table, at: number, errors: ReadonlyMap<TableName, string>): void {
    const others = [...errors].flatMap(([table, error]) => (table === name ? [] : [{ table, error }]));
    const text = JSON.stringify({ at, error: errors.get(name) ?? null, inForce: inForce(), others } satisfies Note);
    const file = fileIn(home, name);
    try {
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file); // never half of it
    } catch (cause) {
      log.error({ err: cause }, `what ${name} are in force could not be written to the home`);
    }
  }

  /** @returns why the file is not in force; null: it is */
  function read({ name, read, inForce }: Table): string | null {
    try {
      read();
      log.info({ [name]: inForce().length }, `${name} reloaded`);
      return null;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      log.error({}, `${name} not reloaded, what was in force stays: ${problem}`);
      return problem;
    }
  }

  let resting: Timer | null = null;
  let wanted = false;

  function rested(): void {
    resting = null;
    if (wanted) readAll();
  }

  function readAll(): void {
    wanted = false;
    const at = now();
    const errors = new Map<TableName, string>();
    for (const table of tables) {
      const problem = read(table);
      if (problem !== null) errors.set(table.name, problem);
    }
    for (const table of tables) note(table, at, errors);
    resting = setTimeout(rested, APART_MS_MIN);
  }

  for (const table of tables) note(table, now(), new Map());
  return () => {
    if (resting) wanted = true;
    else readAll();
  };
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
