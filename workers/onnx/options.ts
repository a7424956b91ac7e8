// What an operator may set for this kind of worker beside slots and threads, in the `options` of data/engines.yaml.

import { among, type Check, readOptions, within } from "@oxbow/worker";

export interface OnnxOptions {
  /** Which of the model's files is loaded: their precision. */
  dtype: Dtype;
  /** Tokens, padding included, that are computed in one run. More is faster until the cores are busy, and holds up others. */
  batchTokens: number;
  /** Inputs that may wait inside the worker. */
  waitingMax: number;
  /** How long running requests may go on after SIGTERM. */
  drainMsMax: number;
}

const DTYPES = ["fp32", "fp16", "q8", "q4"] as const;
export type Dtype = (typeof DTYPES)[number];

const DEFAULTS: OnnxOptions = { dtype: "fp32", batchTokens: 1024, waitingMax: 65_536, drainMsMax: 30_000 };

const CHECKS: Record<keyof OnnxOptions, Check> = {
  dtype: among(...DTYPES),
  batchTokens: within(1, 1 << 20),
  waitingMax: within(1, 1 << 20),
  drainMsMax: within(0, 86_400_000),
};

/** @throws Error naming the option that is unknown or wrong */
export const readOnnxOptions = (given: Record<string, unknown>): OnnxOptions => readOptions(given, DEFAULTS, CHECKS);
