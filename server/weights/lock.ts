// One process at a time writes one file of the cache. The lock is the kernel's (flock), so it goes with its holder, also
// after `kill -9`; and it is the one that other programs on the same cache take.

import { dlopen } from "bun:ffi";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface FileLock {
  release(): void;
}

/** @returns null while another holds it */
export function tryLock(path: string): FileLock | null {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, "a+");
  if (flock(file, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(file);
    return null;
  }
  // Only to name the holder; the lock is what counts.
  ftruncateSync(file, 0);
  writeSync(file, `${process.pid}\n`);
  // The file stays: to remove it would let two hold "it" at once.
  return { release: () => closeSync(file) };
}

/** The process that took the lock last, if it said so. */
export function holderOf(path: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(path, "utf8"), 10);
    return Number.isSafeInteger(pid) ? pid : null;
  } catch {
    return null;
  }
}

/** The same on Linux and on macOS (flock(2), sys/file.h). */
const LOCK_EX = 2;
const LOCK_NB = 4;

let flockOfSystem: ((file: number, operation: number) => number) | undefined;

function flock(file: number, operation: number): number {
  flockOfSystem ??= loadFlock();
  return flockOfSystem(file, operation);
}

const LIBRARIES = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  "libSystem.B.dylib",
];

function loadFlock(): (file: number, operation: number) => number {
  let cause: unknown;
  for (const library of LIBRARIES) {
    try {
      return dlopen(library, { flock: { args: ["i32", "i32"], returns: "i32" } }).symbols.flock;
    } catch (error) {
      cause = error; // another system's name for it
    }
  }
  throw new Error("the C library was not found", { cause });
}
