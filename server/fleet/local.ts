// An engine that is a worker process of ours: worker.ts keeps the process alive, this joins it to what the fleet asks. It
// runs while it has its memory, and only then.

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
  /** Somebody asks for it while it is cold. */
  onWanted: () => void;
  /** Path of a model's pulled weights; null when they are not here. */
  weightsOf: (modelId: string) => string | null;
  log: Log;
  loadMsMax: number;
  stopMsMax: number;
  clock: Clock;
  random: () => number;
}

/** How soon weights that were pulled meanwhile are noticed. */
const LOOK_FOR_WEIGHTS_MS = 5_000;

export function createLocal(entry: EngineEntry, { kind, socket, threads, ...options }: LocalOptions): Host {
  if (kind.worker === undefined) throw new Error(`engine ${entry.id}: its kind ${entry.kind} has no worker`);
  const { id, slots } = entry;
  const { features, simulated } = kind;
  const models = options.models.map((model) => ({ ...model }));
  const pulled = models.filter(({ file }) => kind.loadsFiles && file === undefined);
  const engine = createEngine({ id, kind: entry.kind, features, simulated, slots, address: { socket } });
  /** It still runs, and takes no more calls. */
  let resting = false;
  let failure: string | null = null;
  /** It has its memory, as far as the fleet is concerned. */
  let granted = false;
  let looking: ReturnType<typeof setInterval> | undefined;
  const worker = createWorker({
    ...options,
    id,
    path: kind.worker,
    config: { socket, models, slots, threads, options: entry.options },
    prove: (signal) => prove(engine, models, signal),
    onState: (state) => {
      if (!resting && failure === null) options.onState(state);
    },
  });

  function state(): HostState {
    if (failure !== null) return { state: "failed", reason: failure };
    return resting ? { state: "cold" } : worker.state();
  }

  function fail(reason: string): void {
    failure = reason;
    options.onState(state());
  }

  /** @returns the model whose weights are not here; null: all are, and the worker will find them */
  function findWeights(): string | null {
    for (const model of pulled) {
      const file = options.weightsOf(model.id);
      if (file === null) return model.id;
      model.file = file;
    }
    return null;
  }

  function lookForWeights(): void {
    looking ??= setInterval(() => {
      if (findWeights() === null) repair();
    }, LOOK_FOR_WEIGHTS_MS);
  }

  /** What it lacked may be there now. */
  function repair(): void {
    clearInterval(looking);
    looking = undefined;
    failure = null;
    if (granted) {
      load();
      return;
    }
    options.onState(state());
    options.onWanted();
  }

  function load(): void {
    const wasResting = resting;
    granted = true;
    resting = false;
    const missing = findWeights();
    if (missing !== null) {
      fail(`The weights of ${missing} are not on this machine: \`oxbow pull ${missing}\` brings them.`);
      lookForWeights();
      return;
    }
    failure = null;
    worker.start();
    if (wasResting) options.onState(state());
  }

  return {
    engine,
    models,
    start: () => {}, // it has nothing to do before it gets its memory
    state,
    warmInMs: worker.warmInMs,
    warm() {
      if (state().state === "cold") options.onWanted();
    },

    load,

    rest() {
      resting = true;
      options.onState(state());
    },

    async unload() {
      clearInterval(looking);
      looking = undefined;
      await worker.stop();
      failure = null;
      resting = false;
      granted = false;
      options.onState(state());
    },

    // A simulator has no weights that could be cold.
    ...(simulated ? {} : { touch: (signal: AbortSignal) => prove(engine, models, signal) }),
    fail,
    reload: () => (failure === null ? worker.reload() : repair()),
    look: createLook(engine, () => worker.state().state === "warm"),
    readLoad: () => Promise.resolve(null), // nobody else calls it: our own count is all there is

    stop() {
      clearInterval(looking);
      return worker.stop();
    },
  };
}
