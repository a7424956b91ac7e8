// Where calls go: starts the engines, keeps them warm, counts their slots exactly, and says what state each model is in.
// Who may call and who waits for a slot is admission's affair; what becomes of a call that an engine drops, the relay's.

import { availableParallelism } from "node:os";
import { ApiError, type ModelState, type WorkerModel } from "@oxbow/contract";
import type { EngineEntry, EngineKind, Model } from "../config.ts";
import { createEngine, type Engine } from "../engines/engines.ts";
import { estimateBytes, threadBudget } from "./budget.ts";
import type { Environment } from "./process.ts";
import { prove } from "./proof.ts";
import { createSlots, type Slots } from "./slots.ts";
import { socketFolder } from "./sockets.ts";
import { type Clock, createWorker, type Log, realClock, type Worker, type WorkerState } from "./worker.ts";

// The gateway relays what an engine answers, and asks the fleet for it.
export { type Engine, type EngineAnswer, EngineUnreachable, type EventStream, type Frame } from "../engines/engines.ts";
export type { Log } from "./worker.ts";

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
  /**
   * `place` may now say something else for this model: a slot became free, or its engine became warm, or failed. Models of
   * one engine are told in turn, while there are free slots. Listeners must not throw.
   */
  onFree(listener: (modelId: string) => void): void;
  states(): ModelStatus[];
  /** Every change of what `states` says. Listeners must not throw. */
  onChange(listener: (status: ModelStatus) => void): void;
  /** Whether every pinned model is warm at this moment. */
  ready(): boolean;
  /** Starts an engine again that failed for good, because the operator has repaired what it lacked. */
  reload(engineId: string): void;
  /** How many slots each engine has, and how many of them are taken. */
  loads(): { engine: string; kind: string; slots: number; used: number }[];
  /** Memory that an engine will take, roughly. See budget.ts. */
  estimateBytes(entry: EngineEntry): number;
  /** Ends all workers: asks first, kills after a bounded wait. No process of ours is left when it resolves. */
  stop(): Promise<void>;
}

export interface FleetOptions {
  engines: readonly EngineEntry[];
  kinds: Readonly<Record<string, EngineKind>>;
  models: readonly Model[];
  log: Log;
  /** What workers inherit, less what they have no use for. */
  env: Environment;
  /** From a worker's start until it is warm. */
  loadMsMax: number;
  /** From asking a worker to end until it is killed. */
  stopMsMax?: number;
  /** What all workers together may use. */
  cores?: number;
  clock?: Clock;
  /** 0 to 1. */
  random?: () => number;
}

/** Longer than a worker takes to end; short enough that an orchestrator does not kill us first. */
const STOP_MS_MAX = 5_000;

/** For models of which nobody has published it: enough for any prompt that is sent to try them. */
const CONTEXT_TOKENS_UNKNOWN = 8_192;

/** An engine and what is behind it. */
interface Host {
  entry: EngineEntry;
  engine: Engine;
  models: WorkerModel[];
  slots: Slots;
  worker: Worker;
  /** Index of the model whose turn it is when a slot becomes free. */
  turn: number;
  /** Resolves when it is warm, failed or stopped for the first time. */
  settled: PromiseWithResolvers<void>;
}

export function createFleet(options: FleetOptions): Fleet {
  const freeListeners: ((modelId: string) => void)[] = [];
  const changeListeners: ((status: ModelStatus) => void)[] = [];
  const folder = socketFolder(options.env.XDG_RUNTIME_DIR);
  const threads = threadBudget(options.engines, options.cores ?? availableParallelism());
  const hosts = options.engines.map(createHost);
  const byModel = new Map(hosts.flatMap((host) => host.models.map(({ id }) => [id, host])));

  function createHost(entry: EngineEntry): Host {
    const kind = options.kinds[entry.kind];
    if (kind?.worker === undefined) throw new Error(`engine ${entry.id}: its kind ${entry.kind} has no worker`);
    const { id, slots } = entry;
    const socket = folder.next();
    const models = modelsOf(entry, options);
    const { features, simulated } = kind;
    const engine = createEngine({ id, kind: entry.kind, features, simulated, slots, address: { socket } });
    const host: Host = {
      entry,
      engine,
      models,
      turn: 0,
      settled: Promise.withResolvers(),
      slots: createSlots(slots, () => announceFree(host)),
      worker: createWorker({
        id,
        path: kind.worker,
        config: { socket, models, slots, threads: threads.get(id) ?? 1, options: entry.options },
        env: options.env,
        prove: (signal) => prove(engine, models, signal),
        onState: (state) => announceState(host, state),
        log: options.log,
        loadMsMax: options.loadMsMax,
        stopMsMax: options.stopMsMax ?? STOP_MS_MAX,
        clock: options.clock ?? realClock,
        random: options.random ?? Math.random,
      }),
    };
    return host;
  }

  /** In turn: the model after the one that got a slot last is the first to be asked. */
  function announceFree(host: Host) {
    if (host.worker.state().state !== "warm") return; // its becoming warm is announced
    const from = host.turn;
    for (let step = 0; step < host.models.length && host.slots.free > 0; step++) {
      const { id } = host.models[(from + step) % host.models.length]!;
      for (const listener of freeListeners) listener(id);
    }
  }

  function announceState(host: Host, { state }: WorkerState) {
    if (state !== "loading") host.settled.resolve();
    for (const status of statesOf(host)) for (const listener of changeListeners) listener(status);
    if (state === "warm") announceFree(host);
    // Who waits in line for it is to hear it too.
    if (state === "failed") for (const { id } of host.models) for (const listener of freeListeners) listener(id);
  }

  return {
    async start() {
      folder.create();
      for (const host of hosts) host.worker.start();
      await Promise.all(hosts.filter((host) => host.entry.pinned).map((host) => host.settled.promise));
    },

    serves: (modelId) => byModel.get(modelId)?.engine ?? null,

    place(modelId) {
      const host = byModel.get(modelId);
      if (host === undefined) throw new ApiError("model_failed", `No engine here serves the model \`${modelId}\`.`);
      refuseUnlessWarm(host.worker, modelId);
      const release = host.slots.take();
      if (release === null) return null;
      host.turn = (host.models.findIndex(({ id }) => id === modelId) + 1) % host.models.length;
      return { engine: host.engine, release };
    },

    onFree: (listener) => void freeListeners.push(listener),
    onChange: (listener) => void changeListeners.push(listener),
    states: () => hosts.flatMap(statesOf),
    ready: () => hosts.every((host) => !host.entry.pinned || host.worker.state().state === "warm"),
    reload: (engineId) => hosts.find((host) => host.engine.id === engineId)?.worker.reload(),
    loads: () =>
      hosts.map(({ entry, slots }) => ({
        engine: entry.id,
        kind: entry.kind,
        slots: entry.slots,
        used: entry.slots - slots.free,
      })),
    estimateBytes: (entry) => estimateBytes(entry, options.models),

    async stop() {
      await Promise.all(hosts.map((host) => host.worker.stop()));
      for (const host of hosts) host.settled.resolve();
      folder.remove();
    },
  };
}

function statesOf({ engine, models, worker }: Host): ModelStatus[] {
  const state = worker.state();
  return models.map(({ id }) => ({ id, ...state, simulated: engine.simulated, engine: engine.id }));
}

/** @throws ApiError `model_not_ready`, `model_failed` */
function refuseUnlessWarm(worker: Worker, modelId: string): void {
  const state = worker.state();
  if (state.state === "warm") return;
  if (state.state === "failed") {
    const text = `The model \`${modelId}\` cannot be served: ${state.reason}`;
    throw new ApiError("model_failed", text);
  }
  const retryAfterMs = worker.warmInMs();
  const progress = state.state === "loading" && state.progress > 0 ? ` (${Math.floor(state.progress * 100)} %)` : "";
  const what = state.state === "loading" && state.reason !== undefined ? "is being restarted" : "is loading";
  const text = `The model \`${modelId}\` ${what}${progress}. Please try again in ${Math.ceil(retryAfterMs / 1000)}s.`;
  throw new ApiError("model_not_ready", text, { retryAfterMs });
}

/** "all": every model that no other engine names. */
function modelsOf(entry: EngineEntry, { engines, models }: FleetOptions): WorkerModel[] {
  const named = engines.flatMap((other) => (other.models === "all" ? [] : other.models.map(({ id }) => id)));
  const hosted =
    entry.models === "all" ? models.filter(({ id }) => !named.includes(id)).map(({ id }) => ({ id })) : entry.models;
  return hosted.map((host: { id: string; file?: string }) => {
    const model = models.find(({ id }) => id === host.id);
    if (model === undefined) throw new Error(`engine ${entry.id}: the model ${host.id} is not in the catalogue`);
    const { id, aliases, category, capabilities, contextTokens, dimensions, embedding, detection } = model;
    const file = host.file === undefined ? {} : { file: host.file };
    return {
      id,
      aliases,
      category,
      capabilities,
      contextTokens: contextTokens ?? CONTEXT_TOKENS_UNKNOWN,
      ...(dimensions !== undefined && { dimensions }),
      ...(embedding && { embedding }),
      ...(detection && { detection }),
      ...file,
    };
  });
}
