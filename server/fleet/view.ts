// What is told of the fleet outside: the state of each model, and each engine as the operator sees it.

import type { EngineObject, ModelState } from "@oxbow/contract";
import type { Load, Replica } from "./replica.ts";

export interface ModelStatus {
  id: string;
  state: ModelState;
  /** 0 to 1 while loading. */
  progress?: number;
  /** What a request has for prompt and answer, where its engine says so. */
  contextTokens?: number;
  /** Why it failed, or why it is loading again. */
  reason?: string;
  simulated: boolean;
  /** The id of the engine that serves it; of several the one that says most about it. */
  engine: string;
}

/** One engine, as the operator sees it: on the wire, but for the names of its load. */
export interface EngineView extends Omit<EngineObject, "object" | "load"> {
  /** What its metrics said within the last seconds. */
  load: Load | null;
}

export function statusOf({ host, entry }: Replica, id: string): ModelStatus {
  return { id, ...host.state(), simulated: host.engine.simulated, engine: entry.id };
}

/** One for each of its models. */
export function statusesOf(replica: Replica): ModelStatus[] {
  return replica.host.models.map(({ id }) => statusOf(replica, id));
}

/**
 * @param models that calls go to it for
 * @param used slots that are taken under its name: also of one that it replaces
 */
export function viewOf(replica: Replica, models: string[], used: number): EngineView {
  const { entry, host, slots, health, draining, lastLoad } = replica;
  const state = host.state();
  const { ejectedAt, reason, share } = health.standing();
  const why = state.state === "warm" ? reason : "reason" in state ? (state.reason ?? null) : null;
  const shown = draining ? "draining" : state.state === "warm" && ejectedAt !== null ? "ejected" : state.state;
  return {
    id: entry.id,
    kind: entry.kind,
    ...(entry.url === undefined ? {} : { url: entry.url }),
    models,
    state: shown,
    ...(why === null ? {} : { reason: why }),
    slots: slots.count,
    used,
    weight: entry.weight,
    share,
    ejections: health.ejections(),
    tags: entry.tags,
    ...(entry.accounts === undefined ? {} : { accounts: entry.accounts }),
    load: lastLoad(),
  };
}
