// Processes of a benchmark, and what the kernel says they cost. Linux only: it reads /proc.

import { existsSync, readFileSync } from "node:fs";

/** Processor time that a process has used so far, in milliseconds, with its threads. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** The kernel counts processor time in ticks of this length (USER_HZ is 100 on every Linux). */
const TICK_MS = 10;

/** Memory that a process holds, in bytes. */
export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
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

/** Starts a process that ends with this one: its input is a pipe from here. */
export function startChild(command: string[], env: Record<string, string> = {}) {
  return Bun.spawn(command, {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "inherit",
    env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", ...env },
  });
}
