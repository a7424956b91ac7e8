// What the worker's tests share: starting the real worker process on a model, and calling it over its socket.

import { join } from "node:path";
import type { WorkerModel } from "@oxbow/contract";
import { spawnProgram, temporaryDirectory, untilWarm, type WorkerProcess } from "../../packages/worker/testing.ts";

export { temporaryDirectory };
export type TestWorker = WorkerProcess;

export interface TestWorkerOptions {
  model: Partial<WorkerModel> & Pick<WorkerModel, "category">;
  file: string;
  options?: Record<string, unknown>;
  slots?: number;
}

/** Starts `workers/onnx/main.ts` on one thread. Does not wait until it is warm. */
export function spawnWorker({ model, file, options = {}, slots = 4 }: TestWorkerOptions): TestWorker {
  const folder = temporaryDirectory();
  const socket = join(folder.path, "worker.sock");
  const { id = "test-model", aliases = [], capabilities = [], contextTokens = 512 } = model;
  const hosted: WorkerModel = { ...model, id, aliases, capabilities, contextTokens, file };
  const config = { socket, models: [hosted], slots, threads: 1, options };
  const worker = spawnProgram(join(import.meta.dir, "main.ts"), config);
  return {
    ...worker,
    async stop() {
      await worker.stop();
      folder.remove();
    },
  };
}

/** The same, warm. @throws Error with what it said when it ends before */
export async function startWorker(options: TestWorkerOptions): Promise<TestWorker> {
  const worker = spawnWorker(options);
  await untilWarm(worker);
  return worker;
}
