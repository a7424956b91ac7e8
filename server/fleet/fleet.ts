// Where calls go: joins the engines that are there (roster.ts) to those who ask for one (group.ts), counts their slots
// exactly, and says what state each model is in. Who may call and who waits for a slot is admission's affair; what becomes of
// a call that an engine drops, the relay's.

import { ApiError } from "@oxbow/contract";
import type { EngineEntry } from "../config.ts";
import type { Engine } from "../engines/engines.ts";
import { bestOf, openTo, placeIn, poolOf, type Wish } from "./group.ts";
import type { Outcome } from "./health.ts";
import { hasCooled, touch } from "./keep-warm.ts";
import { type FleetOptions, LIMITS } from "./options.ts";
import type { Replica, Signs } from "./replica.ts";
import { createRoster } from "./roster.ts";
import { type Served, servedBy } from "./served.ts";
import type { EngineTable } from "./table.ts";
import { type EngineView, type ModelStatus, statusOf, viewOf } from "./view.ts";
import { realClock } from "./worker.ts";

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
export type { FleetOptions } from "./options.ts";
export type { Signs } from "./replica.ts";
export type { Served } from "./served.ts";
export type { EngineTable } from "./table.ts";
export type { EngineView, ModelStatus } from "./view.ts";
export type { Log } from "./worker.ts";

/** A slot of a warm engine, held until it is released. */
export interface Placement {
  readonly engine: Engine;
  /** Gives the slot back. Further calls do nothing. */
  release(): void;
  /** What became of the call, for the engine's standing. */
  report(outcome: Outcome): void;
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

/** Between two looks at what is due. */
const TICK_MS = 250;

/** @throws Error when an engine of the table cannot be built */
export function createFleet(options: FleetOptions): Fleet {
  const { log, clock = realClock, every = everyMs } = options;
  const { keepWarmMs, loadPercentMax } = { ...LIMITS, ...options.limits };
  const freeListeners: ((modelId: string) => void)[] = [];
  const changeListeners: ((status: ModelStatus) => void)[] = [];
  const roster = createRoster(options, {
    free: (modelId) => {
      for (const listener of freeListeners) listener(modelId);
    },
    changed: (status) => {
      for (const listener of changeListeners) listener(status);
    },
  });
  let turn = 0;
  let endTicking = (): void => {};

  function tick(): void {
    for (const replica of roster.replicas()) {
      if (replica.host.state().state !== "warm") continue;
      replica.health.tick();
      void replica.poll();
      if (hasCooled(replica, keepWarmMs, clock.now())) void touch(replica, log);
    }
  }

  return {
    start() {
      const started = roster.start();
      endTicking = every(TICK_MS, tick);
      return started;
    },

    serves: (modelId, accountId) => servedBy(openTo(roster.group(modelId), accountId)),

    place(modelId, wish = {}) {
      const group = roster.group(modelId);
      if (group.length === 0) throw new ApiError("model_failed", `No engine here serves the model \`${modelId}\`.`);
      const placed = placeIn(group, modelId, wish, loadPercentMax / 100, turn++);
      if (placed === null) return null;
      const { replica, release } = placed;
      const { models } = replica.host;
      replica.usedAt = clock.now();
      replica.seat?.used();
      replica.turn = models.length === 1 ? 0 : (models.findIndex(({ id }) => id === modelId) + 1) % models.length;
      return new HeldPlace(replica, release);
    },

    signs: (engine) => roster.find(engine)?.signs() ?? { lost: true, quietMs: Number.POSITIVE_INFINITY },
    pool: (modelId, accountId) => poolOf(roster.group(modelId), accountId),
    onFree: (listener) => void freeListeners.push(listener),
    onChange: (listener) => void changeListeners.push(listener),
    states: () => [...roster.groups()].map(([id, group]) => statusOf(bestOf(group), id)),
    engines: () =>
      roster.current().map((replica) => viewOf(replica, roster.servedBy(replica), roster.usedBy(replica.entry.id))),

    ready: () =>
      [...roster.groups().values()].every(
        (group) =>
          !group.some(({ entry, draining }) => entry.pinned && !draining) ||
          group.some(({ host }) => host.state().state === "warm"),
      ),

    apply: roster.apply,
    reload: roster.reload,
    estimateBytes: (entry) => (entry.url === undefined ? roster.bytesOf(entry) : 0),

    async stop() {
      endTicking();
      await roster.stop();
    },
  };
}

function everyMs(ms: number, back: () => void): () => void {
  const timer = setInterval(back, ms);
  return () => clearInterval(timer);
}

/** Every call has one, so it is of a class. */
class HeldPlace implements Placement {
  readonly engine: Engine;
  private readonly replica: Replica;
  private readonly giveBack: () => void;
  private answering = false;

  constructor(replica: Replica, giveBack: () => void) {
    this.engine = replica.host.engine;
    this.replica = replica;
    this.giveBack = giveBack;
  }

  release(): void {
    if (this.answering) this.replica.answered();
    this.answering = false;
    this.giveBack();
  }

  report(outcome: Outcome): void {
    if (outcome.kind === "ok" && !this.answering) {
      this.answering = true;
      this.replica.answers();
    }
    this.replica.health.report(outcome);
  }
}
