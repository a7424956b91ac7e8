// Where calls go: starts the engines, keeps them warm, counts their slots exactly, and says what state each model is in.
// Who may call and who waits for a slot is admission's affair; what becomes of a call that an engine drops, the relay's.

import { availableParallelism } from "node:os";
import { ApiError, type ModelState } from "@oxbow/contract";
import type { EngineEntry, EngineKind, Limits, Model } from "../config.ts";
import type { Engine } from "../engines/engines.ts";
import { atOnce, estimateBytes, threadBudget } from "./budget.ts";
import { bestOf, openTo, placeIn, poolOf, type Wish } from "./group.ts";
import type { Outcome } from "./health.ts";
import { createLocal } from "./local.ts";
import type { Environment } from "./process.ts";
import { createRemote } from "./remote.ts";
import { createReplica, type Host, type HostState, type Load, type Replica, type Signs } from "./replica.ts";
import { createResidency } from "./residency.ts";
import { type Served, servedBy } from "./served.ts";
import { socketFolder } from "./sockets.ts";
import { replaces, servedIds, workerModels } from "./table.ts";
import { type Clock, type Log, realClock } from "./worker.ts";

// The gateway relays what an engine answers, and asks the fleet for it.
export {
  type Engine,
  type EngineAnswer,
  EngineStatus,
  EngineUnreachable,
  type EventStream,
  type Frame,
} from "../engines/engines.ts";
export type { Wish } from "./group.ts";
export type { Outcome } from "./health.ts";
export type { Signs } from "./replica.ts";
export type { Served } from "./served.ts";
export type { Log } from "./worker.ts";

/** A slot of a warm engine, held until it is released. */
export interface Placement {
  readonly engine: Engine;
  /** Gives the slot back. Further calls do nothing. */
  release(): void;
  /** What became of the call, for the engine's standing. */
  report(outcome: Outcome): void;
}

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

/** One engine, as the operator sees it. */
export interface EngineView {
  id: string;
  kind: string;
  /** Of a server elsewhere. */
  url?: string;
  models: string[];
  state: ModelState | "draining" | "ejected";
  reason?: string;
  slots: number;
  used: number;
  weight: number;
  /** Of its weight, while it comes back: 0 to 1. */
  share: number;
  /** How often it was sent off since the start. */
  ejections: number;
  tags: readonly string[];
  accounts?: readonly string[];
  /** What its metrics said within the last seconds. */
  load: Load | null;
}

export interface Fleet {
  /** Starts all engines. Resolves when every pinned model is warm (it answered a request) or failed, or on `stop`. */
  start(): Promise<void>;
  /** What serves a model, whether or not it is warm. @param accountId whose calls: engines for others are left out */
  serves(modelId: string, accountId?: string): Served | null;
  /**
   * Takes a slot of one of the model's engines. Null: none is free, wait for `onFree`.
   *
   * @throws ApiError `model_not_ready` with a guess of how long, `model_failed` with the reason
   */
  place(modelId: string, wish?: Wish): Placement | null;
  /** What the engine of a placement shows of itself. */
  signs(engine: Engine): Signs;
  /** Accounts with the same answer are served by the same engines. */
  pool(modelId: string, accountId: string): string;
  /**
   * `place` may now say something else for this model: a slot became free, or an engine became warm, or failed. Models of
   * one engine are told in turn, while there are free slots. Listeners must not throw.
   */
  onFree(listener: (modelId: string) => void): void;
  states(): ModelStatus[];
  engines(): EngineView[];
  /** Every change of a model's state on one of its engines. Listeners must not throw. */
  onChange(listener: (status: ModelStatus) => void): void;
  /** Whether every pinned model is warm at this moment, on one engine at least. */
  ready(): boolean;
  /**
   * From now on these are the engines; those that have failed try again. Calls that run on one that is gone or is another now end there.
   * @throws Error when they cannot be built; then nothing has changed
   */
  apply(table: EngineTable): void;
  /** Starts an engine again that failed for good, because the operator has repaired what it lacked. */
  reload(engineId: string): void;
  /** Memory that an engine will take here, roughly. See budget.ts. */
  estimateBytes(entry: EngineEntry): number;
  /** Ends all workers: asks first, kills after a bounded wait. No process of ours is left when it resolves. */
  stop(): Promise<void>;
}

export interface EngineTable {
  engines: readonly EngineEntry[];
  kinds: Readonly<Record<string, EngineKind>>;
  /** Bytes of the memories that servers elsewhere share, by name. */
  pools?: Readonly<Record<string, { bytes: number }>>;
}

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
  /** 0 to 1. */
  random?: () => number;
}

type FleetLimits = Pick<
  Limits,
  "residentMsMin" | "keepWarmMs" | "ejectErrorsMax" | "lookMs" | "slowStartMs" | "loadPercentMax"
>;

const LIMITS: FleetLimits = {
  residentMsMin: 10_000,
  keepWarmMs: 300_000,
  ejectErrorsMax: 5,
  lookMs: 5_000,
  slowStartMs: 30_000,
  loadPercentMax: 125,
};

/** Longer than a worker takes to end; short enough that an orchestrator does not kill us first. */
const STOP_MS_MAX = 5_000;

/** One token, from weights that may have to come from the disk again. */
const TOUCH_MS_MAX = 120_000;

/** The pool of everything that runs here. */
const MACHINE = "";

/** Between two looks at what is due. */
const TICK_MS = 250;

export function createFleet(options: FleetOptions): Fleet {
  const { log, clock = realClock, random = Math.random, stopMsMax = STOP_MS_MAX } = options;
  const limits = { ...LIMITS, ...options.limits };
  const freeListeners: ((modelId: string) => void)[] = [];
  const changeListeners: ((status: ModelStatus) => void)[] = [];
  const folder = socketFolder(options.env.XDG_RUNTIME_DIR);
  let table: EngineTable = options;
  let replicas: Replica[] = [];
  /** Those that finish what they have begun. */
  const leaving = new Map<Replica, PromiseWithResolvers<void>>();
  let groups = new Map<string, Replica[]>();
  const residency = createResidency({
    bytesOf: poolBytes,
    now: clock.now,
    after(ms, back) {
      const timer = setTimeout(back, ms);
      return () => clearTimeout(timer);
    },
    stayMsMin: limits.residentMsMin,
    onMove: (id, to) =>
      log.info({ engine: id }, to === "load" ? "engine gets its memory" : "engine gives its memory back"),
  });
  let turn = 0;
  let phase: "new" | "starting" | "started" | "stopped" = "new";
  let ticking: ReturnType<typeof setInterval> | undefined;

  function build(entry: EngineEntry, from: EngineTable): Replica {
    const kind = from.kinds[entry.kind];
    if (kind === undefined) throw new Error(`engine ${entry.id}: its kind ${entry.kind} has no worker`);
    const models = workerModels(entry, from.engines, options.models);
    const onState = (state: HostState) => announceState(replica, state);
    const onWanted = () => {
      if (isCurrent(replica)) replica.seat?.want();
    };
    const common = {
      kind,
      models,
      env: options.env,
      log,
      loadMsMax: options.loadMsMax,
      clock,
      random,
      onState,
      onWanted,
    };
    const host: Host = kind.remote
      ? createRemote(entry, {
          ...common,
          classes: options.classes ?? [],
          onTried: () => replica.settled.resolve(),
          onFound: (awake) => replica.seat?.found(awake),
        })
      : createLocal(entry, {
          ...common,
          socket: folder.next(),
          threads: threadsOf(entry, from),
          stopMsMax,
          weightsOf: (id) => options.weightsOf?.(id, kind.format) ?? null,
        });
    const replica = createReplica({
      entry,
      host,
      now: clock.now,
      onFree: announceFree,
      log,
      errorsMax: limits.ejectErrorsMax,
      lookMs: limits.lookMs,
      slowStartMs: limits.slowStartMs,
    });
    replica.draining = entry.drain === true;
    return replica;
  }

  /** Takes part in who has memory: workers of ours in that of this machine, others in the pool that their entry names. */
  function seat(replica: Replica): void {
    const { host, slots } = replica;
    if (replica.entry.url !== undefined && replica.entry.pool === undefined) return;
    replica.seat = residency.add({
      id: replica.entry.id,
      pool: () => replica.entry.pool ?? MACHINE,
      bytes: () => bytesOf(replica.entry),
      pinned: () => replica.entry.pinned && isCurrent(replica),
      busy: () => slots.taken > 0,
      load: host.load,
      rest: host.rest,
      unload: host.unload,
      fail: host.fail,
    });
  }

  /** Whether it is the last of its name: one that another is to replace is not loaded any more. */
  function isCurrent(replica: Replica): boolean {
    return replicas.findLast(({ entry }) => entry.id === replica.entry.id) === replica;
  }

  /** A server that shares a pool and does not say how much it takes has all of it while it is awake. */
  function bytesOf(entry: EngineEntry): number {
    if (entry.memoryBytes !== undefined) return entry.memoryBytes;
    if (entry.pool !== undefined) return poolBytes(entry.pool);
    return estimateBytes(withWeights(entry), options.models);
  }

  function poolBytes(pool: string): number {
    if (pool === MACHINE) return options.memoryBytes ?? Number.POSITIVE_INFINITY;
    return table.pools?.[pool]?.bytes ?? Number.POSITIVE_INFINITY;
  }

  /** The entry with the files that were pulled for it. */
  function withWeights(entry: EngineEntry): EngineEntry {
    const kind = table.kinds[entry.kind];
    if (entry.models === "all" || !kind?.loadsFiles) return entry;
    const models = entry.models.map((model) => {
      const file = model.file ?? options.weightsOf?.(model.id, kind.format) ?? undefined;
      return file === undefined ? model : { ...model, file };
    });
    return { ...entry, models };
  }

  function threadsOf(entry: EngineEntry, { engines, kinds }: EngineTable): number {
    const here = engines.filter(({ kind }) => kinds[kind]?.worker !== undefined);
    const pinned = here.filter((each) => each.pinned);
    const room = poolBytes(MACHINE) - pinned.reduce((sum, each) => sum + bytesOf(each), 0);
    // Those that are never loaded together need not share the cores.
    const others = here.filter((each) => !each.pinned && each !== entry);
    const together = atOnce([...others, ...(entry.pinned ? [] : [entry])].map(bytesOf), room);
    const beside = others.slice(0, Math.max(0, together - (entry.pinned ? 0 : 1)));
    const sharers = entry.pinned ? [...pinned, ...beside] : [entry, ...pinned, ...beside];
    return threadBudget(sharers, options.cores ?? availableParallelism()).get(entry.id) ?? 1;
  }

  function regroup(): void {
    groups = new Map();
    for (const replica of replicas) {
      for (const id of servedIds(replica.entry, table.engines, options.models)) {
        const group = groups.get(id);
        if (group) group.push(replica);
        else groups.set(id, [replica]);
      }
    }
  }

  /** In turn: the model after the one that got a slot last is the first to be asked. */
  function announceFree(replica: Replica): void {
    const { host, slots } = replica;
    replica.usedAt = clock.now();
    replica.seat?.freed();
    if (leaving.has(replica)) return void leaveWhenIdle(replica);
    if (host.state().state !== "warm") return; // its becoming warm is announced
    const from = replica.turn;
    for (let step = 0; step < host.models.length && slots.free > 0; step++) {
      const { id } = host.models[(from + step) % host.models.length]!;
      for (const listener of freeListeners) listener(id);
    }
  }

  function announceState(replica: Replica, { state }: HostState): void {
    if (state !== "loading") replica.settled.resolve();
    if (leaving.has(replica)) return;
    // At the start all come together, and nobody is careful: else nobody would serve.
    if (state === "warm") replica.health.appeared(phase === "started");
    for (const status of statusesOf(replica)) for (const listener of changeListeners) listener(status);
    if (state === "warm") {
      announceFree(replica);
      for (const each of olderThan(replica)) leave(each);
    }
    // Who waits in line for it is to hear it too; a cold one is then asked to load.
    if ((state === "failed" || state === "cold") && phase !== "stopped")
      for (const { id } of replica.host.models) for (const listener of freeListeners) listener(id);
    if (state === "warm" || state === "failed") replica.seat?.settled();
  }

  /** Those whose place it takes: the table may change again before it is warm. */
  function olderThan(replica: Replica): Replica[] {
    return replicas.slice(0, replicas.indexOf(replica)).filter(({ entry }) => entry.id === replica.entry.id);
  }

  /** One for each id: while one takes another's place, the newer. */
  function current(): Replica[] {
    return [...new Map(replicas.map((replica) => [replica.entry.id, replica])).values()];
  }

  /** Also by those that take no more calls. */
  function usedBy(id: string): number {
    const all = [...replicas, ...leaving.keys()];
    return all.reduce((sum, { entry, slots }) => sum + (entry.id === id ? slots.taken : 0), 0);
  }

  /** Takes no more calls, finishes those it has, and ends. */
  function leave(replica: Replica): void {
    if (leaving.has(replica)) return;
    replica.draining = true;
    leaving.set(replica, Promise.withResolvers());
    replicas = replicas.filter((each) => each !== replica);
    regroup();
    leaveWhenIdle(replica);
  }

  function leaveWhenIdle(replica: Replica): void {
    if (replica.slots.taken > 0) return;
    const gone = leaving.get(replica)!;
    log.info({ engine: replica.entry.id }, "engine left");
    replica.settled.resolve();
    void replica.host.stop().then(() => {
      leaving.delete(replica);
      replica.seat?.remove();
      gone.resolve();
    });
  }

  function tick(): void {
    for (const replica of replicas) {
      if (replica.host.state().state !== "warm") continue;
      replica.health.tick();
      void replica.poll();
      if (hasCooled(replica)) void touch(replica);
    }
  }

  /** Pinned, and without a call for so long that the system might give its memory to others. */
  function hasCooled({ entry, host, slots, usedAt }: Replica): boolean {
    const { keepWarmMs } = limits;
    const applies = keepWarmMs > 0 && entry.pinned && host.touch !== undefined && slots.taken === 0;
    return applies && clock.now() - usedAt >= keepWarmMs;
  }

  /** In a slot of its own, as every call. */
  async function touch({ entry, host, slots }: Replica): Promise<void> {
    const release = slots.take();
    if (release === null) return;
    try {
      await host.touch?.(AbortSignal.timeout(TOUCH_MS_MAX));
    } catch (cause) {
      // Whether it is well is found by looking at it, and by its calls.
      log.error({ engine: entry.id, err: cause }, "engine not kept warm");
    } finally {
      release();
    }
  }

  replicas = options.engines.map((entry) => build(entry, table));
  for (const replica of replicas) seat(replica);
  regroup();

  return {
    async start() {
      phase = "starting";
      folder.create();
      for (const { host } of replicas) host.start();
      residency.review();
      ticking = setInterval(tick, TICK_MS);
      const pinned = replicas.filter(({ entry }) => entry.pinned && !entry.drain);
      await Promise.all(pinned.map(({ settled }) => settled.promise));
      if (phase === "starting") phase = "started";
    },

    serves: (modelId, accountId) => servedBy(openTo(groups.get(modelId) ?? [], accountId)),

    place(modelId, wish = {}) {
      const group = groups.get(modelId);
      if (group === undefined) throw new ApiError("model_failed", `No engine here serves the model \`${modelId}\`.`);
      const placed = placeIn(group, modelId, wish, limits.loadPercentMax / 100, turn++);
      if (placed === null) return null;
      const { replica, release } = placed;
      const { models } = replica.host;
      replica.usedAt = clock.now();
      replica.seat?.used();
      replica.turn = (models.findIndex(({ id }) => id === modelId) + 1) % models.length;
      return placementOf(replica, release);
    },

    signs(engine) {
      const replica = [...replicas, ...leaving.keys()].find(({ host }) => host.engine === engine);
      return replica?.signs() ?? { lost: true, quietMs: Number.POSITIVE_INFINITY };
    },

    pool: (modelId, accountId) => poolOf(groups.get(modelId) ?? [], accountId),
    onFree: (listener) => void freeListeners.push(listener),
    onChange: (listener) => void changeListeners.push(listener),
    states: () => [...groups].map(([id, group]) => statusOf(bestOf(group), id)),
    engines: () => current().map((replica) => ({ ...viewOf(replica), used: usedBy(replica.entry.id) })),

    ready: () =>
      [...groups.values()].every(
        (group) =>
          !group.some(({ entry, draining }) => entry.pinned && !draining) ||
          group.some(({ host }) => host.state().state === "warm"),
      ),

    apply(next) {
      if (phase === "stopped") return;
      const known = new Map(replicas.map((replica) => [replica.entry.id, replica]));
      const built: Replica[] = [];
      const kept: [Replica, EngineEntry][] = [];
      for (const entry of next.engines) {
        const replica = known.get(entry.id);
        const same = replica && !replaces(replica, entry, table, next, options.models);
        if (same) kept.push([replica, entry]);
        else built.push(build(entry, next));
      }
      // Nothing fails from here on.
      table = next;
      for (const [replica, entry] of kept) {
        replica.entry = entry;
        replica.slots.count = entry.slots;
        replica.draining = entry.drain === true;
      }
      const ids = new Set(next.engines.map(({ id }) => id));
      replicas.push(...built);
      for (const replica of replicas) if (!ids.has(replica.entry.id)) leave(replica);
      regroup();
      for (const replica of built) {
        seat(replica);
        if (phase === "new") continue;
        replica.host.start();
        const older = olderThan(replica);
        // Only a warm one has something to do until its successor is warm; one that nobody has asked for has no heirs.
        const wanted = older.some(({ host }) => !["cold", "failed"].includes(host.state().state));
        for (const each of older) if (each.host.state().state !== "warm") leave(each);
        if (wanted && !replica.entry.pinned) replica.seat?.want();
      }
      if (phase !== "new") residency.review();
      for (const [replica] of kept) {
        // What it lacked may be why the table is read again.
        if (replica.host.state().state === "failed") replica.host.reload();
        announceFree(replica);
      }
    },

    reload: (engineId) => replicas.find(({ entry }) => entry.id === engineId)?.host.reload(),
    estimateBytes: (entry) => (entry.url === undefined ? bytesOf(entry) : 0),

    async stop() {
      phase = "stopped";
      clearInterval(ticking);
      residency.stop();
      const all = [...replicas, ...leaving.keys()];
      await Promise.all(all.map(({ host }) => host.stop()));
      for (const { settled } of all) settled.resolve();
      folder.remove();
    },
  };
}

function placementOf(replica: Replica, release: () => void): Placement {
  let ends: (() => void) | null = null;
  return {
    engine: replica.host.engine,
    release() {
      ends?.();
      ends = null;
      release();
    },
    report(outcome) {
      if (outcome.kind === "ok") ends ??= replica.answers();
      replica.health.report(outcome);
    },
  };
}

function statusOf({ host, entry }: Replica, id: string): ModelStatus {
  return { id, ...host.state(), simulated: host.engine.simulated, engine: entry.id };
}

function statusesOf(replica: Replica): ModelStatus[] {
  return replica.host.models.map(({ id }) => statusOf(replica, id));
}

function viewOf({ entry, host, slots, health, draining, lastLoad }: Replica): EngineView {
  const state = host.state();
  const { ejectedAt, reason, share } = health.standing();
  const why = state.state === "warm" ? reason : "reason" in state ? (state.reason ?? null) : null;
  const shown = draining ? "draining" : state.state === "warm" && ejectedAt !== null ? "ejected" : state.state;
  return {
    id: entry.id,
    kind: entry.kind,
    ...(entry.url === undefined ? {} : { url: entry.url }),
    models: host.models.map(({ id }) => id),
    state: shown,
    ...(why === null ? {} : { reason: why }),
    slots: slots.count,
    used: slots.taken,
    weight: entry.weight,
    share,
    ejections: health.ejections(),
    tags: entry.tags,
    ...(entry.accounts === undefined ? {} : { accounts: entry.accounts }),
    load: lastLoad(),
  };
}
