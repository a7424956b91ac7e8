// What an operator may set for this kind of worker beside slots and threads, in the `options` of data/engines.yaml.

import { among, type Check, either, readOptions, within } from "@oxbow/worker";

export interface LlamaOptions {
  /** What computes: `auto` takes a graphics card if there is one, false never does. */
  gpu: "auto" | "cuda" | "vulkan" | "metal" | false;
  /** Layers on the graphics card; `auto` as many as fit. */
  gpuLayers: "auto" | "max" | number;
  /** Tokens decoded in one step: larger reads prompts faster, smaller pauses the others less. */
  batchTokens: number;
  /** Requests that may wait for a slot inside the worker. */
  waitingMax: number;
  loadMsMax: number;
  /** How long running requests may go on after SIGTERM. */
  drainMsMax: number;
}

const DEFAULTS: LlamaOptions = {
  gpu: "auto",
  gpuLayers: "auto",
  batchTokens: 512,
  waitingMax: 256,
  loadMsMax: 600_000,
  drainMsMax: 30_000,
};

const DAY_MS = 86_400_000;
const CHECKS: Record<keyof LlamaOptions, Check> = {
  gpu: among("auto", "cuda", "vulkan", "metal", false),
  gpuLayers: either(among("auto", "max"), within(0, 1024)),
  batchTokens: within(32, 16_384),
  waitingMax: within(0, 65_536),
  loadMsMax: within(1, DAY_MS),
  drainMsMax: within(0, DAY_MS),
};

/** @throws Error naming the option that is unknown or wrong */
export const readLlamaOptions = (given: Record<string, unknown>): LlamaOptions => readOptions(given, DEFAULTS, CHECKS);
