// Makes an engine of an entry of the table: a worker here or a server elsewhere, with its slots and its standing.

import type { EngineEntry } from "../config.ts";
import { createLocal } from "./local.ts";
import { type FleetOptions, LIMITS } from "./options.ts";
import { createRemote } from "./remote.ts";
import { createReplica, type Host, type HostState, type Replica } from "./replica.ts";
import { type EngineTable, workerModels } from "./table.ts";
import { realClock } from "./worker.ts";

/** Longer than a worker takes to end; short enough that an orchestrator does not kill us first. */
const STOP_MS_MAX = 5_000;

export interface BuilderOptions {
  /** Threads of a worker. @param from the table that it is in */
  threadsOf(entry: EngineEntry, from: EngineTable): number;
  /** Path of a socket that nobody has yet. */
  socket(): string;
  onState(replica: Replica, state: HostState): void;
  /** Somebody asks for it while it is cold. */
  onWanted(replica: Replica): void;
  /** It may take a call that it could not take before. */
  onFree(replica: Replica): void;
}

/** @returns builds an engine that is not started yet. It throws an Error when the entry names what is not there */
export function createBuilder(options: FleetOptions, { threadsOf, socket, onState, onWanted, onFree }: BuilderOptions) {
  const { log, env, loadMsMax, clock = realClock, random = Math.random } = options;
  const limits = { ...LIMITS, ...options.limits };

  return (entry: EngineEntry, from: EngineTable): Replica => {
    const kind = from.kinds[entry.kind];
    if (kind === undefined) throw new Error(`engine ${entry.id}: its kind ${entry.kind} has no worker`);
    const models = workerModels(entry, from.engines, options.models);
    const common = {
      ...{ kind, models, env, log, loadMsMax, clock, random },
      onState: (state: HostState) => onState(replica, state),
      onWanted: () => onWanted(replica),
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
          socket: socket(),
          threads: threadsOf(entry, from),
          stopMsMax: options.stopMsMax ?? STOP_MS_MAX,
          weightsOf: (id) => options.weightsOf?.(id, kind.format) ?? null,
        });
    const replica = createReplica({
      ...{ entry, host, log, onFree, now: clock.now },
      errorsMax: limits.ejectErrorsMax,
      lookMs: limits.lookMs,
      slowStartMs: limits.slowStartMs,
    });
    replica.draining = entry.drain === true;
    return replica;
  };
}
