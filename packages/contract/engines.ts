// GET /engines: each engine as the operator sees it. The endpoint is ours; docs/openapi/oxbow.yaml describes it.

import type { ModelState } from "./models.ts";

/** `ejected`: it gets no calls for a while, because it failed. */
export type EngineState = ModelState | "draining" | "ejected";

export interface EngineObject {
  id: string;
  object: "engine";
  kind: string;
  /** Of a server elsewhere. */
  url?: string;
  models: string[];
  state: EngineState;
  /** Why, in a sentence. */
  reason?: string;
  /** Calls at the same time, and how many of them run. */
  slots: number;
  used: number;
  weight: number;
  /** Of its weight, while it comes back: 0 to 1. */
  share: number;
  /** How often it was ejected since the start. */
  ejections: number;
  tags: readonly string[];
  /** Ids of the accounts that it serves alone. */
  accounts?: readonly string[];
  /** What its metrics said within the last seconds; null: nothing. */
  load: { running: number; waiting: number; kv_usage: number | null } | null;
}

export interface EngineList {
  object: "list";
  data: EngineObject[];
}
