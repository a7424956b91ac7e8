// What a fleet is made of, and what of it can be moved.

import type { EngineKind, Limits, Model } from "../config.ts";
import type { Environment } from "./process.ts";
import type { EngineTable } from "./table.ts";
import type { Clock, Log } from "./worker.ts";

export interface FleetOptions extends EngineTable {
  /** What local workers together may take of this machine's memory, in bytes. Default: whatever they take. */
  memoryBytes?: number;
  /** Path of a model's pulled weights in a format; null when they are not here. */
  weightsOf?: (modelId: string, format: EngineKind["format"]) => string | null;
  models: readonly Model[];
  log: Log;
  /** What workers inherit, less what they have no use for; and where the keys of servers elsewhere are. */
  env: Environment;
  /** From a worker's start until it is warm. */
  loadMsMax: number;
  /** From asking a worker to end until it is killed. */
  stopMsMax?: number;
  /** What all workers together may use. */
  cores?: number;
  /** Ids of the classes of callers, the first goes first. */
  classes?: readonly string[];
  limits?: Partial<FleetLimits>;
  clock?: Clock;
  /** Calls back every so many milliseconds, and returns how to end it. */
  every?: (ms: number, back: () => void) => () => void;
  /** 0 to 1. */
  random?: () => number;
}

export type FleetLimits = Pick<
  Limits,
  "residentMsMin" | "keepWarmMs" | "ejectErrorsMax" | "lookMs" | "slowStartMs" | "loadPercentMax"
>;

export const LIMITS: FleetLimits = {
  residentMsMin: 10_000,
  keepWarmMs: 300_000,
  ejectErrorsMax: 5,
  lookMs: 5_000,
  slowStartMs: 30_000,
  loadPercentMax: 125,
};
