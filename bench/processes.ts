// Processes of a benchmark, and what the kernel says they cost. Linux only: it reads /proc.

import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Processor time that a process has used so far, in milliseconds, with all threads that still run. */
export function cpuMs(pid: number): number {
  // The scheduler's own count, in nanoseconds; /proc/PID/stat counts in ticks of 10 ms.
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return ns.reduce((sum, each) => sum + each, 0) / 1e6;
}

/** Processes that a process has started and that still run. */
export function childrenOf(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.flatMap((thread) => {
    const list = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim();
    return list === "" ? [] : list.split(" ").map(Number);
  });
}

/** Memory of its own that a process holds, in bytes: without the files it has mapped, whose pages come and go. */
export function heldBytes(pid: number): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

export async function waitUntil(check: () => boolean | Promise<boolean>, what: string, msMax = 60_000): Promise<void> {
  const until = performance.now() + msMax;
  while (!(await check())) {
    if (performance.now() > until) throw new Error(`${what}: not within ${msMax / 1000} s`);
    await Bun.sleep(20);
  }
}

export const answers = (url: string) => async (): Promise<boolean> => {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false; // not listening yet
  }
};

export const exists = (path: string) => () => existsSync(path);

export async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const { port } = server;
  await server.stop(true);
  return port!;
}

/** As runtime/launch.mjs sets it. */
const LAUNCHED = { BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", MIMALLOC_PURGE_DELAY: "1000" };

/**
 * Starts a process that ends with this one: its input is a pipe from here.
 * @param stderr "ignore" for one that prints a stack for each of a thousand callers who hang up
 */
export function startChild(
  command: string[],
  env: Record<string, string> = {},
  stderr: "inherit" | "ignore" = "inherit",
) {
  return Bun.spawn(command, {
    stdin: "pipe",
    stdout: "ignore",
    stderr,
    env: { ...process.env, ...LAUNCHED, ...env },
  });
}
