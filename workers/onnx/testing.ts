// What the worker's tests share: starting the real worker process on a model, and calling it over its socket.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkerConfig, WorkerHealth, WorkerModel } from "@oxbow/contract";

/** A directory of its own for a test file; call the function to remove it. */
export function temporaryDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "oxbow-onnx-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface TestWorker {
  process: Bun.Subprocess<"pipe", "ignore", "pipe">;
  /** What it wrote to standard error so far. */
  log(): string;
  get(path: string): Promise<Response>;
  /** A body that is no string, form or bytes is sent as JSON. */
  post(path: string, body: unknown, init?: Pick<RequestInit, "headers" | "signal">): Promise<Response>;
  stop(): Promise<void>;
}

export interface TestWorkerOptions {
  model: Partial<WorkerModel> & Pick<WorkerModel, "category">;
  file: string;
  options?: Record<string, unknown>;
  slots?: number;
}

/** Starts `workers/onnx/main.ts` on one thread. Does not wait until it is warm. */
export function spawnWorker({ model, file, options = {}, slots = 4 }: TestWorkerOptions): TestWorker {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-onnx-"));
  const socket = join(folder, "worker.sock");
  const { id = "test-model", aliases = [], capabilities = [], contextTokens = 512 } = model;
  const hosted: WorkerModel = { ...model, id, aliases, capabilities, contextTokens, file };
  const config: WorkerConfig = { socket, models: [hosted], slots, threads: 1, options };
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "main.ts"), JSON.stringify(config)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  let text = "";
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of child.stderr) text += decoder.decode(piece, { stream: true });
  })();
  const ask = (path: string, init: RequestInit) => fetch(`http://engine${path}`, { ...init, unix: socket });
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
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The same, warm. @throws Error with what it said when it ends before */
export async function startWorker(options: TestWorkerOptions): Promise<TestWorker> {
  const worker = spawnWorker(options);
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline && worker.process.exitCode === null) {
    const health = await worker.get("/health").then(
      (answer) => answer.json() as Promise<WorkerHealth>,
      () => null, // it does not listen yet
    );
    if (health?.state === "warm") return worker;
    await Bun.sleep(20);
  }
  const said = worker.log();
  await worker.stop();
  throw new Error(`the worker did not get warm; it said:\n${said}`);
}
