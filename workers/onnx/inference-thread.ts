// Starts the inference thread and runs jobs in it. One job computes at a time, in the order in which they were asked for:
// what should go first, or together, is decided before it gets here.

import { ApiError, type ErrorName } from "@oxbow/contract";
import { UnusableModel } from "@oxbow/worker";
import type { FailedJob, FromInference, LoadMessage, ToInference } from "./messages.ts";

export interface Inference {
  /**
   * Runs a job of the loaded family. Rejects with the signal's reason as soon as it fires; the job itself is told, and ends
   * when it next looks.
   *
   * @throws ApiError that the job threw; Error for anything else
   */
  run<Output>(job: string, input: unknown, options?: RunOptions): Promise<Output>;
}

export interface RunOptions {
  signal?: AbortSignal;
  /** What the job reports while it runs, in order. */
  onReport?(value: unknown): void;
  /** Buffers in `input` that are handed over instead of copied. */
  transfer?: ArrayBuffer[];
}

export interface InferenceOptions extends Omit<LoadMessage, "kind"> {
  /** 0 to 1, while it loads. */
  onProgress(value: number): void;
  /** The thread is gone after it had loaded. */
  onBroken(error: Error): void;
}

interface Run {
  resolve(output: unknown): void;
  reject(error: unknown): void;
  onReport: ((value: unknown) => void) | undefined;
}

/** @throws UnusableModel; Error when the thread ends otherwise before the model is loaded */
export async function startInference(options: InferenceOptions): Promise<{ inference: Inference; info: unknown }> {
  const { onProgress, onBroken, ...load } = options;
  const thread = new Worker(new URL("./inference.ts", import.meta.url).href);
  const runs = new Map<number, Run>();
  const loading = Promise.withResolvers<unknown>();
  let loaded = false;
  let last = 0;
  const say = (message: ToInference, transfer: ArrayBuffer[] = []) => thread.postMessage(message, transfer);

  function broke(reason: string): void {
    const error = new Error(reason);
    loading.reject(error);
    for (const run of runs.values()) run.reject(error);
    runs.clear();
    if (loaded) onBroken(error);
  }

  thread.addEventListener("error", (event) => broke(event.message));
  thread.addEventListener("close", () => broke("it ended"));
  thread.addEventListener("message", ({ data }: MessageEvent<FromInference>) => {
    switch (data.kind) {
      case "progress":
        return onProgress(data.value);
      case "loaded":
        loaded = true;
        return loading.resolve(data.info);
      case "unusable":
        return loading.reject(new UnusableModel(data.reason));
      case "broken":
        return loading.reject(new Error(data.reason));
      case "report":
        return reported(data.id, data.value);
      case "done":
        return runs.get(data.id)?.resolve(data.output);
      case "failed":
        return runs.get(data.id)?.reject(errorOf(data.error));
    }
  });

  /** Who cannot take a report fails alone: thrown out of here, the error would end the worker with all its calls. */
  function reported(id: number, value: unknown): void {
    const run = runs.get(id);
    try {
      run?.onReport?.(value);
    } catch (error) {
      say({ kind: "abort", id });
      run?.reject(error);
    }
  }

  say({ kind: "load", ...load });
  const info = await loading.promise;

  function run<Output>(job: string, input: unknown, { signal, onReport, transfer }: RunOptions = {}): Promise<Output> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = ++last;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onAbort = () => {
      say({ kind: "abort", id });
      reject(signal!.reason);
    };
    runs.set(id, { resolve, reject, onReport });
    signal?.addEventListener("abort", onAbort, { once: true });
    say({ kind: "run", id, job, input }, transfer);
    return promise.finally(() => {
      runs.delete(id);
      signal?.removeEventListener("abort", onAbort);
    }) as Promise<Output>;
  }

  return { inference: { run }, info };
}

function errorOf({ row, message, param }: FailedJob): Error {
  if (row === undefined) return new Error(message);
  return new ApiError(row as ErrorName, message, { param: param ?? undefined });
}
