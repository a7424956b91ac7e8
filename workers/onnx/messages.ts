// What the two threads of the worker say to each other.

import type { WorkerModel } from "@oxbow/contract";
import type { OnnxOptions } from "./options.ts";

/** The first message to the inference thread: what to load. */
export interface LoadMessage {
  kind: "load";
  /** Id of a row in families/families.ts. */
  family: string;
  folder: string;
  model: WorkerModel & { file: string };
  options: OnnxOptions;
  threads: number;
}

export type ToInference =
  | LoadMessage
  | { kind: "run"; id: number; job: string; input: unknown }
  | { kind: "abort"; id: number };

export type FromInference =
  | { kind: "progress"; value: number }
  /** `info`: what the family's routes have to know of the loaded model. */
  | { kind: "loaded"; info: unknown }
  | { kind: "unusable"; reason: string }
  /** Something else went wrong: another try may succeed. */
  | { kind: "broken"; reason: string }
  | { kind: "report"; id: number; value: unknown }
  | { kind: "done"; id: number; output: unknown }
  | { kind: "failed"; id: number; error: FailedJob };

/** An error on its way between threads. `row` is the name of an error that is meant for the caller. */
export interface FailedJob {
  row?: string;
  message: string;
  param?: string | null;
}
