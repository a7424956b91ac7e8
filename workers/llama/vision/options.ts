// What an operator may set for models that see beside slots and threads, in the `options` of data/engines.yaml.

import { among, type Check, either, readOptions, text, within } from "@oxbow/worker";

export interface SeeingOptions {
  /** The encoder of images; null: the one file named *mmproj*.gguf beside the model. */
  mmproj: string | null;
  /** Layers on the graphics card. */
  gpuLayers: number;
  /**
   * Of prompt and answer together, for one request; less where the model has less. Memory for it is taken for each slot when
   * the model is loaded, and what there is not ends the process.
   */
  contextTokens: number;
  /** Tokens decoded in one step. */
  batchTokens: number;
  /** How long running requests may go on after SIGTERM. */
  drainMsMax: number;
}

const DEFAULTS: SeeingOptions = {
  mmproj: null,
  gpuLayers: 0,
  contextTokens: 8_192,
  batchTokens: 512,
  drainMsMax: 30_000,
};

const CHECKS: Record<keyof SeeingOptions, Check> = {
  mmproj: either(among(null), text),
  gpuLayers: within(0, 1024),
  contextTokens: within(64, 1 << 22),
  batchTokens: within(32, 16_384),
  drainMsMax: within(0, 86_400_000),
};

/** @throws Error naming the option that is unknown or wrong */
export const readSeeingOptions = (given: Record<string, unknown>): SeeingOptions =>
  readOptions(given, DEFAULTS, CHECKS);
