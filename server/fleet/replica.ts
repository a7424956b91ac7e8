// One engine as the fleet counts on it: what is behind it, its slots, and how it stands. Every engine is one of these,
// whether a process of ours or a server elsewhere; several that serve the same model are a group (group.ts).

import type { WorkerModel } from "@oxbow/contract";
import type { EngineEntry } from "../config.ts";
import type { Engine } from "../engines/engines.ts";
import { createHealth, type Health, type Look } from "./health.ts";
import type { Seat } from "./residency.ts";
import { createSlots, type Slots } from "./slots.ts";
import type { Log, WorkerState } from "./worker.ts";

export type HostState = WorkerState;

/** What is behind an engine. It keeps itself alive; whether calls go to it is decided here. */
export interface Host {
  readonly engine: Engine;
  /** All it can serve. */
  readonly models: readonly WorkerModel[];
  start(): void;
  state(): HostState;
  /** A guess, in milliseconds: when to ask again while it is not warm. */
  warmInMs(): number;
  /** Asks a cold one to load. Nothing happens when it is loading or warm. */
  warm(): void;
  /** Takes its memory: begins to load, or takes calls again. What decides about it is residency.ts. */
  load(): void;
  /** Takes no more calls. */
  rest(): void;
  /** Gives its memory back, and is cold. It works on nothing. Rejects when it could not. */
  unload(): Promise<void>;
  /** Has it answer the least it can, so that its memory stays its own; absent where that is not our affair. */
  touch?(signal: AbortSignal): Promise<void>;
  /** It will never get its memory. */
  fail(reason: string): void;
  /** Ends the wait of one that has failed, or the pause before it is tried again. */
  reload(): void;
  /** Looks whether it is well, within a bound. Never rejects. */
  look(): Promise<Look>;
  /** What it works on by its own metrics; null when it does not say. Never rejects. */
  readLoad(): Promise<Load | null>;
  /** Resolves when nothing of it is left here. */
  stop(): Promise<void>;
}

export interface Load {
  running: number;
  waiting: number;
  /** Share of its cache that is in use, 0 to 1; null where it does not say. */
  kvUsage: number | null;
  /** A count that grows while it works; null where it does not say. */
  work: number | null;
}

/** What an engine shows of itself to a call that waits for it. */
export interface Signs {
  /** It is gone, or was sent off. */
  lost: boolean;
  /** Since something of an answer came from it, to whomever, or it worked by its own metrics; milliseconds. */
  quietMs: number;
}

export interface Replica {
  /** As the table has it now. */
  entry: EngineEntry;
  readonly host: Host;
  readonly slots: Slots;
  readonly health: Health;
  /** Takes no more calls: the operator says so, or it is on its way out. */
  draining: boolean;
  /** Calls it works on: ours, exactly, and those of others as far as its metrics tell. */
  load(): number;
  /** Its cache is so full that one more call would push out others. */
  full(): boolean;
  /** What its metrics said last; null when they are too old, or there are none. */
  lastLoad(): Load | null;
  /** An answer to a call has begun: a sign of life for as long as it comes. */
  answers(): void;
  /** It is over, and the call with it. Once for each. */
  answered(): void;
  signs(): Signs;
  /** Reads its metrics, when that is due. */
  poll(): Promise<void>;
  /** Resolves when it is warm, failed or stopped for the first time. */
  readonly settled: PromiseWithResolvers<void>;
  /** When it last got or ended a call, or answered one of ours. */
  usedAt: number;
  /** Where it stands for memory; absent where it takes none that others want too. */
  seat?: Seat;
  /** Index of the model whose turn it is when a slot becomes free. */
  turn: number;
}

export interface ReplicaOptions {
  entry: EngineEntry;
  host: Host;
  now: () => number;
  /** It may take a call that it could not take before. */
  onFree: (replica: Replica) => void;
  log: Log;
  errorsMax: number;
  lookMs: number;
  slowStartMs: number;
}

/** Between two readings of an engine's metrics. */
const POLL_MS = 1_000;
/** Older ones say nothing about now. */
const LOAD_MS_MAX = 5_000;
/** Beyond this share of its cache an engine drops what it has begun, to begin it again later. */
const KV_MAX = 0.95;

export function createReplica({ entry, host, now, onFree, log, ...settings }: ReplicaOptions): Replica {
  let said: Load | null = null;
  let saidAt = 0;
  let askedAt = Number.NEGATIVE_INFINITY;
  /** Calls of others: what it said less what was ours then. */
  let foreign = 0;
  let wasEjected = false;
  /** Calls whose answer has begun and is not over. */
  let answering = 0;
  let livedAt = now();
  const lastLoad = () => (said !== null && now() - saidAt <= LOAD_MS_MAX ? said : null);

  const replica: Replica = {
    entry,
    host,
    draining: false,
    usedAt: now(),
    turn: 0,
    settled: Promise.withResolvers(),
    slots: createSlots(entry.slots, () => onFree(replica)),
    health: createHealth({
      ...settings,
      now,
      look: host.look,
      onChange: standingChanged,
    }),
    load: () => replica.slots.taken + (lastLoad() === null ? 0 : foreign),

    full() {
      const load = lastLoad();
      // One that works on nothing holds nothing, whatever it counts as used.
      return load?.kvUsage != null && load.kvUsage >= KV_MAX && replica.load() > 0;
    },

    lastLoad,

    answers() {
      answering++;
    },

    answered() {
      answering--;
      livedAt = now();
    },

    signs: () => ({
      lost: host.state().state !== "warm" || replica.health.standing().ejectedAt !== null,
      quietMs: answering > 0 ? 0 : now() - livedAt,
    }),

    async poll() {
      if (now() - askedAt < POLL_MS) return;
      askedAt = now();
      const { taken, begun } = replica.slots;
      const load = await host.readLoad();
      if (load === null) return;
      const wasFull = replica.full();
      if (load.work !== null && load.work !== said?.work) livedAt = now();
      said = load;
      saidAt = now();
      // It counted at some moment since it was asked: all that were ours at any time since then may be among them.
      const ours = taken + replica.slots.begun - begun;
      foreign = Math.max(0, load.running + load.waiting - ours);
      if (wasFull && !replica.full()) onFree(replica);
    },
  };

  function standingChanged(): void {
    const { ejectedAt, reason } = replica.health.standing();
    if ((ejectedAt !== null) !== wasEjected) {
      wasEjected = ejectedAt !== null;
      if (wasEjected) log.error({ engine: entry.id, reason }, "engine ejected");
      else log.info({ engine: entry.id }, "engine back");
    }
    onFree(replica);
  }
  return replica;
}
