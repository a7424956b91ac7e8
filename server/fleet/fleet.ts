// Where calls go: starts the engines, keeps them warm, counts their slots exactly, and says what state each model is in.
// Who may call and who waits for a slot is admission's affair; what becomes of a call that an engine drops, the relay's.

import type { ModelState } from "@oxbow/contract";
import type { Engine } from "../engines/engines.ts";

export type { Engine, EngineAnswer, EventStream, Frame } from "../engines/engines.ts";

/** A slot of a warm engine, held until it is released. */
export interface Placement {
  readonly engine: Engine;
  /** Gives the slot back. Further calls do nothing. */
  release(): void;
}

export interface ModelStatus {
  id: string;
  state: ModelState;
  /** 0 to 1 while loading. */
  progress?: number;
  /** Why it failed, or why it is loading again. */
  reason?: string;
  simulated: boolean;
  /** The id of the engine that serves it. */
  engine: string;
}

export interface Fleet {
  /** Starts all engines. Resolves when every pinned model is warm (it answered a request) or failed, or on `stop`. */
  start(): Promise<void>;
  /** The engine for a model, whether or not it is warm. */
  serves(modelId: string): Engine | null;
  /**
   * Takes a slot of the model's engine. Null: all are taken, wait for `onFree`.
   *
   * @throws ApiError `model_not_ready` with a guess of how long, `model_failed` with the reason
   */
  place(modelId: string): Placement | null;
  /** A slot became free for this model, or its engine became warm. Listeners must not throw. */
  onFree(listener: (modelId: string) => void): void;
  states(): ModelStatus[];
  /** Every change of what `states` says. Listeners must not throw. */
  onChange(listener: (status: ModelStatus) => void): void;
  /** Whether every pinned model is warm at this moment. */
  ready(): boolean;
  /** Starts an engine again that failed for good, because the operator has repaired what it lacked. */
  reload(engineId: string): void;
  /** Ends all workers: asks first, kills after a bounded wait. No process of ours is left when it resolves. */
  stop(): Promise<void>;
}
