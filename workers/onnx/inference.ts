// The inference thread: loads the model, then runs one job after the other. A run of onnxruntime holds the thread until it
// is done (measured: 1.6 s for a batch of 32 texts), so nothing that must answer in time happens here.

import { ApiError } from "@oxbow/contract";
import { UnusableModel } from "@oxbow/worker";
import { familyById } from "./families/families.ts";
import type { Loaded } from "./families/family.ts";
import type { FailedJob, FromInference, LoadMessage, ToInference } from "./messages.ts";

declare const self: Worker;

const say = (message: FromInference, transfer: ArrayBuffer[] = []) => self.postMessage(message, transfer);

let loaded: Loaded | null = null;
/** Jobs that wait or run, by id. */
const asked = new Map<number, AbortController>();
/** The job before the one that is asked for now. */
let before: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<ToInference>) => {
  if (data.kind === "load") return void load(data);
  if (data.kind === "abort") return asked.get(data.id)?.abort();
  asked.set(data.id, new AbortController());
  before = before.then(() => run(data.id, data.job, data.input));
};

async function load({ family, folder, model, options, threads }: LoadMessage): Promise<void> {
  try {
    const { loadJobs } = await familyById(family).jobs();
    const progress = (value: number) => say({ kind: "progress", value });
    loaded = await loadJobs({ folder, model, options, threads, progress });
    say({ kind: "loaded", info: loaded.info });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    say({ kind: error instanceof UnusableModel ? "unusable" : "broken", reason });
  }
}

async function run(id: number, name: string, input: unknown): Promise<void> {
  const { signal } = asked.get(id)!;
  // Lets in what was said while the job before held the thread: that this one is no longer wanted, for one.
  await breathe();
  try {
    signal.throwIfAborted();
    const job = loaded?.jobs[name];
    if (!job) throw new Error(`there is no job ${name}`);
    const report = (value: unknown) => say({ kind: "report", id, value });
    const { output, transfer = [] } = await job(input as never, { signal, report, breathe });
    say({ kind: "done", id, output }, transfer);
  } catch (error) {
    say({ kind: "failed", id, error: failureOf(error) });
  } finally {
    asked.delete(id);
  }
}

function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function failureOf(error: unknown): FailedJob {
  if (error instanceof ApiError) return { row: error.row, message: error.message, param: error.param };
  return { message: error instanceof Error ? error.message : String(error) };
}
