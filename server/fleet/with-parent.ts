// Loaded into every worker before its own program (process.ts): the kernel ends the worker when its parent ends, however
// that came, even while the worker's thread is busy in native code and cannot see the end of its input, which is what it
// watches everywhere else. Linux alone has such a promise (prctl(2), PR_SET_PDEATHSIG, read 2026-11-21); on other systems
// a worker that is stuck at that moment stays until it comes back to its input.

import { dlopen } from "bun:ffi";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

if (process.platform === "linux") {
  const libraries = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
  for (const library of libraries) {
    try {
      const { symbols } = dlopen(library, { prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } });
      symbols.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      break;
    } catch {
      // another C library's name for it; without any, the watch on the input remains
    }
  }
}
