// Keeps what native code prints to itself: it writes prompts, which must reach no log. Our own lines go out as before.

import { dlopen, FFIType } from "bun:ffi";
import { closeSync, openSync, writeSync } from "node:fs";

/** Points the process's own output at nothing. @returns what writes a line to where standard error went before */
export function silenceNative(): (line: string) => void {
  const library = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";
  const { symbols } = dlopen(library, {
    dup: { args: [FFIType.i32], returns: FFIType.i32 },
    dup2: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  });
  const kept = symbols.dup(2);
  const nothing = openSync("/dev/null", "w");
  if (kept < 0 || symbols.dup2(nothing, 1) < 0 || symbols.dup2(nothing, 2) < 0) {
    throw new Error("the output of native code could not be silenced");
  }
  closeSync(nothing);
  return (line) => void writeSync(kept, `${line}\n`);
}
