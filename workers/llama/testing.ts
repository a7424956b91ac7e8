// What the worker's tests share: loading a generated model in this process, and starting the real worker process on one and
// calling it over its socket.

import { join } from "node:path";
import { createSseReader, type WorkerConfig, type WorkerModel } from "@oxbow/contract";
import { spawnProgram, temporaryDirectory, untilWarm, type WorkerProcess } from "../../packages/worker/testing.ts";
import { readGgufHeader } from "./gguf-header.ts";
import type { Job } from "./job.ts";
import { type LoadedModel, loadModel } from "./load.ts";

export { temporaryDirectory };

/** Loads a model into this process. Nothing frees it before the process ends: it is small. */
export function loadHere(file: string, slots: number, contextTokens: number): Promise<LoadedModel> {
  return loadModel({
    file,
    header: readGgufHeader(file),
    slots,
    contextTokens,
    threads: 1,
    gpu: false,
    gpuLayers: 0,
    batchTokens: 64,
    signal: new AbortController().signal,
    onProgress: () => {},
    log: () => {},
  });
}

/** A greedy job; what it generates is pushed to `tokens`. */
export function greedyJob(prompt: ArrayLike<number>, maxTokens: number, tokens: number[]): Job {
  return {
    prompt: Uint32Array.from(prompt),
    maxTokens,
    sampling: { temperature: 0 },
    logprobs: null,
    scorePrompt: false,
    onToken(token) {
      tokens.push(token);
      return true;
    },
    signal: new AbortController().signal,
  };
}

export interface TestWorker extends Omit<WorkerProcess, "post"> {
  socket: string;
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response>;
  /** The body as parsed JSON, whatever the status. */
  json<T = Record<string, unknown>>(path: string, body: unknown): Promise<T>;
  /** The data of each event, parsed, up to `[DONE]`. Throws when the stream ends without it. */
  events<T = Record<string, unknown>>(path: string, body: unknown): Promise<T[]>;
}

export interface WorkerSetup {
  slots?: number;
  options?: Record<string, unknown>;
  model?: Partial<WorkerModel>;
  /** Absent: one of its own. */
  socket?: string;
  /** From this folder; absent: the worker for text. */
  program?: string;
}

/** Starts the worker without waiting for the model. */
export function startWorker(file: string, directory: string, setup: WorkerSetup = {}): TestWorker {
  const socket = setup.socket ?? join(directory, `w${Math.random().toString(36).slice(2, 10)}.sock`);
  const model = { id: "test", aliases: ["alias"], category: "chat", capabilities: ["tools"], contextTokens: 1024 };
  const config: WorkerConfig = {
    socket,
    models: [{ ...model, file, ...setup.model }],
    slots: setup.slots ?? 4,
    threads: 1,
    options: setup.program ? (setup.options ?? {}) : { gpu: false, ...setup.options },
  };
  const worker = spawnProgram(join(import.meta.dir, setup.program ?? "main.ts"), config);
  const post = (path: string, body: unknown, signal?: AbortSignal) => worker.post(path, body, signal ? { signal } : {});
  return {
    ...worker,
    socket,
    post,
    json: async <T>(path: string, body: unknown) => (await (await post(path, body)).json()) as T,
    events: async <T>(path: string, body: unknown) => eventsOf<T>(await post(path, body)),
  };
}

/** Starts the worker and waits until it is warm. */
export async function startWarm(file: string, directory: string, setup: WorkerSetup = {}): Promise<TestWorker> {
  const worker = startWorker(file, directory, setup);
  await untilWarm(worker);
  return worker;
}

export async function eventsOf<T>(answer: Response): Promise<T[]> {
  if (answer.status !== 200) throw new Error(`status ${answer.status}: ${await answer.text()}`);
  const reader = createSseReader();
  const data: string[] = [];
  for await (const bytes of answer.body!) data.push(...reader.push(bytes).map((event) => event.data));
  data.push(...reader.end().map((event) => event.data));
  if (data.at(-1) !== "[DONE]") throw new Error(`no [DONE] after ${data.length} events; last: ${data.at(-1)}`);
  return data.slice(0, -1).map((text) => JSON.parse(text) as T);
}
