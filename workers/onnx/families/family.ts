// What a family of models is made of: two halves, one for each thread of the worker. A new family is two files and a row
// in families.ts.
//
//  - Its routes (`openRoutes`) live in the HTTP thread. They read requests, decide what is computed next and what goes
//    together, and write answers. They must not hold their thread: health checks and everybody's answers wait for it.
//  - Its jobs (`loadJobs`) live in the inference thread, with the weights. A job is one stretch of computing: a batch of
//    texts, a window of audio, a step of denoising. Jobs run one at a time, in order; between two of them other requests
//    get their turn, so a long answer is made of many jobs.

import type { WorkerModel } from "@oxbow/contract";
import type { Served } from "@oxbow/worker";
import type { Inference } from "../inference-thread.ts";
import type { OnnxOptions } from "../options.ts";

/** What the inference half is given. */
export interface Place {
  /** Where the model's files are; `model.file` when a single file was named. */
  folder: string;
  model: WorkerModel & { file: string };
  options: OnnxOptions;
  /** For one run. */
  threads: number;
  /** 0 to 1. */
  progress(value: number): void;
}

/** @throws UnusableModel for files that can never be loaded; any other error is worth another try */
export type LoadJobs = (place: Place) => Promise<Loaded>;

export interface Loaded {
  jobs: Record<string, Job>;
  /** What the routes have to know of the model: must survive `structuredClone`. */
  info: unknown;
}

/**
 * Input and output travel between threads: plain values and typed arrays. Each job knows its own input, which its routes
 * send; who holds jobs of all kinds can hand none of them anything, and the inference thread says so where it does.
 */
export type Job = (input: never, context: JobContext) => Result | Promise<Result>;

export interface Result {
  output: unknown;
  /** Buffers in it that are handed over instead of copied. */
  transfer?: ArrayBuffer[];
}

export interface JobContext {
  /** Fires when nobody wants the result any more; seen only after a `breathe`. */
  signal: AbortSignal;
  /** Sends something ahead of the result, to the `onReport` of the run. */
  report(value: unknown): void;
  /** Gives the thread up for a moment: for jobs of many steps, which then look at their signal. */
  breathe(): Promise<void>;
}

/** What the HTTP half is given, once the weights are loaded. */
export interface Host {
  model: WorkerModel & { file: string };
  folder: string;
  options: OnnxOptions;
  /** Requests at the same time. */
  slots: number;
  inference: Inference;
  /** From `loadJobs`. */
  info: unknown;
  log(line: string): void;
}

/** @throws UnusableModel as `loadJobs` */
export type OpenRoutes = (host: Host) => Promise<Served>;
