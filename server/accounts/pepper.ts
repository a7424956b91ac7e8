// The secret under which keys are hashed. It lies beside the database, not in it: a copy of the database alone is of no
// use for guessing keys that somebody chose, nor for putting in keys of one's own.

import { createHmac, randomBytes } from "node:crypto";
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AccountsError } from "./errors.ts";

/**
 * The pepper of a home, made when there is none (mode 0600).
 * @throws AccountsError when the file holds something else; what the file system throws when it cannot be written
 */
export function loadPepper(home: string): string {
  const file = join(home, "pepper");
  const read = readIfThere(file) ?? make(file);
  if (!/^[0-9a-f]{64}$/.test(read)) {
    throw new AccountsError(`${file} does not hold 64 hex digits. Restore it from a backup.`);
  }
  return read;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Two processes may do this at the same time: the first one's is everybody's, and nobody sees half a file. */
function make(file: string): string {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flush: true });
  try {
    linkSync(own, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(own, { force: true });
  }
  return readFileSync(file, "utf8").trim();
}

/** HMAC-SHA256, in hex. */
export function digestOf(pepper: string, text: string): string {
  return createHmac("sha256", pepper).update(text).digest("hex");
}
