// What a running process asks of the system, in the order in which it happens: strace, attached from outside.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { havePrograms } from "./debian.ts";

/** One call of the system by one thread. */
export interface SystemCall {
  name: string;
  /** The file or socket that it was about, as the system names it. */
  file: string;
  /** What was written or sent. */
  bytes: Buffer;
  /** Where it began and ended among all lines of the trace; `endedAt` is null when it was still going on. */
  beganAt: number;
  endedAt: number | null;
  /** What it returned. */
  result: number | null;
}

/** Installs strace where that may be done. @returns whether it is there, and may be used */
export const haveStrace = (): boolean => havePrograms("strace") && mayTrace();

/** Containers may forbid it, and so does Yama to whoever is not root. */
function mayTrace(): boolean {
  return Bun.spawnSync(["strace", "-qq", "-e", "trace=none", "true"]).exitCode === 0 && process.getuid?.() === 0;
}

/** Runs `during` and returns the calls of these names that all threads of the process made meanwhile. */
export async function traced(pid: number, names: string[], during: () => Promise<void>): Promise<SystemCall[]> {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-trace-"));
  const file = join(folder, "trace");
  const options = ["-f", "-y", "-xx", "-s", "200000", "-e", `trace=${names.join(",")}`, "-o", file, "-p", String(pid)];
  const strace = Bun.spawn(["strace", ...options], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  try {
    await attached(strace.stderr);
    await during();
    strace.kill("SIGINT");
    await strace.exited;
    return readCalls(readFileSync(file, "utf8"));
  } finally {
    strace.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

/** strace says so once for the process with all its threads. */
async function attached(stderr: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stderr.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!/Process \d+ attached/.test(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`strace did not attach: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  // What it says later must not fill the pipe.
  void (async () => {
    while (!(await reader.read()).done);
  })();
}

/** A call that another thread's came into is told in two lines: `… <unfinished ...>` and `<... name resumed> …`. */
function readCalls(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, SystemCall>();
  for (const [at, line] of text.split("\n").entries()) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest);
    const began = /^(\w+)\(/.exec(rest);
    const call = resumed ? open.get(thread) : began ? callOf(began[1]!, rest, at) : undefined;
    if (!call) continue;
    if (!resumed) calls.push(call);
    if (rest.endsWith("<unfinished ...>")) open.set(thread, call);
    else {
      call.endedAt = at;
      call.result = Number(/ = (-?\d+)[^=]*$/.exec(rest)?.[1] ?? Number.NaN);
      open.delete(thread);
    }
  }
  return calls;
}

function callOf(name: string, rest: string, at: number): SystemCall {
  // -xx writes paths and bytes alike as \x2f\x74…; the descriptor's path stands between < and >.
  const file = Buffer.from(hexOf(/\(\d+<(.*?)>[,)]/.exec(rest)?.[1] ?? "")).toString("latin1");
  const bytes = Buffer.concat([...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text]) => hexOf(text!)));
  return { name, file, bytes, beganAt: at, endedAt: null, result: null };
}

function hexOf(text: string): Buffer {
  return text.startsWith("\\x") ? Buffer.from(text.replaceAll("\\x", ""), "hex") : Buffer.from(text);
}
