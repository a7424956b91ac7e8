// An engine that is a worker process of ours: worker.ts keeps the process alive, this joins it to what the fleet asks.

import type { WorkerModel } from "@oxbow/contract";
import type { EngineEntry, EngineKind } from "../config.ts";
import { createEngine } from "../engines/engines.ts";
import { createLook } from "./look.ts";
import type { Environment } from "./process.ts";
import { prove } from "./proof.ts";
import type { Host, HostState } from "./replica.ts";
import { type Clock, createWorker, type Log } from "./worker.ts";

export interface LocalOptions {
  kind: EngineKind;
  models: WorkerModel[];
  socket: string;
  threads: number;
  env: Environment;
  onState: (state: HostState) => void;
  log: Log;
  loadMsMax: number;
  stopMsMax: number;
  clock: Clock;
  random: () => number;
}

export function createLocal(entry: EngineEntry, { kind, models, socket, threads, ...options }: LocalOptions): Host {
  if (kind.worker === undefined) throw new Error(`engine ${entry.id}: its kind ${entry.kind} has no worker`);
  const { id, slots } = entry;
  const { features, simulated } = kind;
  const engine = createEngine({ id, kind: entry.kind, features, simulated, slots, address: { socket } });
  const worker = createWorker({
    ...options,
    id,
    path: kind.worker,
    config: { socket, models, slots, threads, options: entry.options },
    prove: (signal) => prove(engine, models, signal),
  });
  return {
    engine,
    models,
    start: worker.start,
    state: worker.state,
    warmInMs: worker.warmInMs,
    warm: () => {}, // it loads by itself, and never leaves
    reload: worker.reload,
    look: createLook(engine, () => worker.state().state === "warm"),
    readLoad: () => Promise.resolve(null), // nobody else calls it: our own count is all there is
    stop: worker.stop,
  };
}
