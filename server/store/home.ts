// The home folder: made when it is missing, and held by one server at a time.

import { Database } from "bun:sqlite";
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What is wrong with the home folder or a file in it: one line that says what to do. */
export class HomeError extends Error {
  override readonly name = "HomeError";
}

/**
 * Makes sure that `home` is a folder that can be written to. A new one is for its owner alone (0700): it holds the
 * means to check keys.
 * @throws HomeError
 */
export function prepareHome(home: string): void {
  try {
    if (mkdirSync(home, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(home, 0o700);
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw asHomeError(home, cause);
  }
}

export interface HomeLock {
  release(): void;
}

/**
 * Takes the home for this process. The lock is an open transaction on `lock.db`, so the kernel gives it back when the
 * process ends, however it ends; a file with a pid in it would outlive `kill -9`, and the pid would come to mean
 * another process. `server.pid` is only there to name the holder.
 * @throws HomeError when another server holds it, or it cannot be written
 */
export function lockHome(home: string): HomeLock {
  prepareHome(home);
  const pidFile = join(home, "server.pid");
  let database: Database | undefined;
  try {
    database = new Database(join(home, "lock.db"), { create: true });
    // Long enough for one who only looks, as `serverOn` does.
    database.run("PRAGMA busy_timeout = 100");
    database.run("BEGIN EXCLUSIVE");
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (cause) {
    database?.close();
    if (!(cause instanceof Error && codeOf(cause) === "SQLITE_BUSY")) throw asHomeError(home, cause);
    const text = `Another server${holderOf(pidFile)} is running on the home ${home}. Stop it first, or give this one a home of its own with OXBOW_HOME or --home.`;
    throw new HomeError(text, { cause });
  }
  const held = database;
  return {
    release: () => {
      rmSync(pidFile, { force: true });
      held.close();
    },
  };
}

/**
 * The process id of the server that holds `home`; null when none does. Its file alone would not do: after `kill -9` the
 * number may have come to mean another process.
 */
export function serverOn(home: string): number | null {
  const file = join(home, "lock.db");
  if (!existsSync(file)) return null;
  const database = new Database(file, { readonly: true });
  try {
    database.run("PRAGMA busy_timeout = 0");
    database.query("SELECT 1 FROM sqlite_schema").get();
    return null; // reading was possible, so nobody has it for himself
  } catch (error) {
    if (!(error instanceof Error && codeOf(error) === "SQLITE_BUSY")) throw asHomeError(home, error);
    const pid = Number(/\d+/.exec(holderOf(join(home, "server.pid")))?.[0]);
    return Number.isSafeInteger(pid) ? pid : null;
  } finally {
    database.close();
  }
}

function holderOf(pidFile: string): string {
  try {
    return ` (pid ${readFileSync(pidFile, "utf8").trim()})`;
  } catch {
    return ""; // it has the lock and has not written its pid yet
  }
}

/** One line for the operator out of what the file system or SQLite said; anything else as it is. */
export function asHomeError(home: string, cause: unknown): unknown {
  if (cause instanceof HomeError || !(cause instanceof Error)) return cause;
  const code = codeOf(cause);
  const row = TROUBLES.find(([pattern]) => pattern.test(code));
  if (!row) return cause;
  const [, trouble, cure] = row;
  return new HomeError(`The home ${home} ${trouble} (${code}). ${cure} another folder with OXBOW_HOME or --home.`, {
    cause,
  });
}

const TROUBLES: [RegExp, string, string][] = [
  [/^(EEXIST|ENOTDIR)$/, "is not a folder", "Choose"],
  [/^(ENOSPC|SQLITE_FULL)$/, "is on a disk that is full", "Make room there, or choose"],
  [/^SQLITE_(NOTADB|CORRUPT)/, "holds a damaged database", "Restore it from a backup, or choose"],
  [/^SQLITE_BUSY/, "is being written to by another process, for more than 5 s", "Stop that one, or choose"],
  [
    /^(EACCES|EPERM|EROFS|ENOENT|SQLITE_(CANTOPEN|READONLY|IOERR))/,
    "cannot be written",
    "Make it writable for this user, or choose",
  ],
];

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "";
}
