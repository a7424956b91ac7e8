// What tests of workers share: the real process on a model, called over its socket.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkerConfig, WorkerHealth } from "@oxbow/contract";

/** A directory of its own for a test file; call the function to remove it. */
export function temporaryDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "oxbow-worker-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface WorkerProcess {
  process: Bun.Subprocess<"pipe", "ignore", "pipe">;
  /** What it wrote to standard error so far. */
  log(): string;
  get(path: string): Promise<Response>;
  /** A body that is no string, form or bytes is sent as JSON. */
  post(path: string, body: unknown, init?: Pick<RequestInit, "headers" | "signal">): Promise<Response>;
  stop(): Promise<void>;
}

/** @param program path of the worker's main.ts. Does not wait until it listens */
export function spawnProgram(program: string, config: WorkerConfig): WorkerProcess {
  const child = Bun.spawn([process.execPath, program, JSON.stringify(config)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  let text = "";
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of child.stderr) text += decoder.decode(piece, { stream: true });
  })();
  const ask = (path: string, init: RequestInit) => fetch(`http://worker${path}`, { ...init, unix: config.socket });
  return {
    process: child,
    log: () => text,
    get: (path) => ask(path, {}),
    post: (path, body, init = {}) => {
      const raw = typeof body === "string" || body instanceof FormData || body instanceof Uint8Array;
      return ask(path, { method: "POST", body: raw ? body : JSON.stringify(body), ...init });
    },
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      await read;
    },
  };
}

const WARM_MS_MAX = 60_000;

/** @throws Error with what it said when it ends before, or takes too long */
export async function untilWarm(worker: Pick<WorkerProcess, "process" | "log" | "get" | "stop">): Promise<void> {
  const deadline = Date.now() + WARM_MS_MAX;
  while (Date.now() < deadline && worker.process.exitCode === null) {
    const health = await worker.get("/health").then(
      (answer) => answer.json() as Promise<WorkerHealth>,
      () => null, // it does not listen yet
    );
    if (health?.state === "warm") return;
    await Bun.sleep(10);
  }
  await worker.stop();
  throw new Error(`the worker did not get warm; it said:\n${worker.log()}`);
}
