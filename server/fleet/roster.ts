// Who is there: engines are built, get their memory, take one another's place when the table changes, and leave when their
// calls have ended. Which of them a call goes to is decided in group.ts.

import type { EngineEntry } from "../config.ts";
import type { Engine } from "../engines/engines.ts";
import { createBuilder } from "./build.ts";
import { createMemory, MACHINE } from "./memory.ts";
import { type FleetOptions, LIMITS } from "./options.ts";
import type { HostState, Replica } from "./replica.ts";
import { createResidency } from "./residency.ts";
import { socketFolder } from "./sockets.ts";
import { type EngineTable, replaces, servedIds } from "./table.ts";
import { type ModelStatus, statusesOf } from "./view.ts";
import { realClock } from "./worker.ts";

export interface RosterListener {
  /** An engine of the model may take a call that it could not take before. */
  free(modelId: string): void;
  changed(status: ModelStatus): void;
}

export type Roster = ReturnType<typeof createRoster>;

/** @throws Error when an engine cannot be built */
export function createRoster(options: FleetOptions, tell: RosterListener) {
  const { log, clock = realClock } = options;
  const { residentMsMin } = { ...LIMITS, ...options.limits };
  const folder = socketFolder(options.env.XDG_RUNTIME_DIR);
  let table: EngineTable = options;
  let replicas: Replica[] = [];
  /** Those that finish what they have begun. */
  const leaving = new Set<Replica>();
  let groups = new Map<string, Replica[]>();
  const memory = createMemory(options, () => table);
  const residency = createResidency({
    bytesOf: memory.poolBytes,
    now: clock.now,
    after(ms, back) {
      const timer = setTimeout(back, ms);
      return () => clearTimeout(timer);
    },
    stayMsMin: residentMsMin,
    onMove: (id, to) =>
      log.info({ engine: id }, to === "load" ? "engine gets its memory" : "engine gives its memory back"),
  });
  const build = createBuilder(options, {
    threadsOf: memory.threadsOf,
    socket: folder.next,
    onState: announceState,
    onWanted: (replica) => {
      if (isCurrent(replica)) replica.seat?.want();
    },
    onFree: announceFree,
  });
  let phase: "new" | "starting" | "started" | "stopped" = "new";

  /** Takes part in who has memory: workers of ours in that of this machine, others in the pool that their entry names. */
  function seat(replica: Replica): void {
    const { host, slots } = replica;
    if (replica.entry.url !== undefined && replica.entry.pool === undefined) return;
    replica.seat = residency.add({
      id: replica.entry.id,
      pool: () => replica.entry.pool ?? MACHINE,
      bytes: () => memory.bytesOf(replica.entry),
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
      tell.free(id);
    }
  }

  function announceState(replica: Replica, { state }: HostState): void {
    if (state !== "loading") replica.settled.resolve();
    if (leaving.has(replica)) return;
    // At the start all come together, and nobody is careful: else nobody would serve.
    if (state === "warm") replica.health.appeared(phase === "started");
    for (const status of statusesOf(replica)) tell.changed(status);
    if (state === "warm") {
      announceFree(replica);
      for (const each of olderThan(replica)) leave(each);
    }
    // Who waits in line for it is to hear it too; a cold one is then asked to load.
    if ((state === "failed" || state === "cold") && phase !== "stopped")
      for (const { id } of replica.host.models) tell.free(id);
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
    return [...replicas, ...leaving].reduce((sum, { entry, slots }) => sum + (entry.id === id ? slots.taken : 0), 0);
  }

  /** Takes no more calls, finishes those it has, and ends. */
  function leave(replica: Replica): void {
    if (leaving.has(replica)) return;
    replica.draining = true;
    leaving.add(replica);
    replicas = replicas.filter((each) => each !== replica);
    regroup();
    leaveWhenIdle(replica);
  }

  function leaveWhenIdle(replica: Replica): void {
    if (replica.slots.taken > 0) return;
    log.info({ engine: replica.entry.id }, "engine left");
    replica.settled.resolve();
    void replica.host.stop().then(() => {
      leaving.delete(replica);
      replica.seat?.remove();
    });
  }

  replicas = options.engines.map((entry) => build(entry, table));
  for (const replica of replicas) seat(replica);
  regroup();

  return {
    /** Those that calls may go to, besides those that are on their way out. */
    replicas: (): readonly Replica[] => replicas,
    /** Those of them that serve a model. */
    group: (modelId: string): readonly Replica[] => groups.get(modelId) ?? [],
    groups: (): ReadonlyMap<string, readonly Replica[]> => groups,
    current,
    usedBy,
    /** The models that calls go to it for: one for all the rest may know more. */
    servedBy: (replica: Replica) => [...groups].flatMap(([id, group]) => (group.includes(replica) ? [id] : [])),
    /** Also one that is on its way out. */
    find: (engine: Engine) => [...replicas, ...leaving].find(({ host }) => host.engine === engine),
    bytesOf: memory.bytesOf,

    /** Resolves when every pinned engine is warm or has failed, or on `stop`. */
    async start(): Promise<void> {
      phase = "starting";
      folder.create();
      for (const { host } of replicas) host.start();
      residency.review();
      const pinned = replicas.filter(({ entry }) => entry.pinned && !entry.drain);
      await Promise.all(pinned.map(({ settled }) => settled.promise));
      if (phase === "starting") phase = "started";
    },

    /**
     * From now on these are the engines; those that have failed try again.
     * @throws Error when they cannot be built; then nothing has changed
     */
    apply(next: EngineTable): void {
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
      const before = [...groups.keys()];
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
      }
      // Who waits for a model may have more slots to wait for now, or nobody: he hears it at once, not when a call ends.
      for (const id of new Set([...before, ...groups.keys()])) tell.free(id);
    },

    reload: (engineId: string) => replicas.find(({ entry }) => entry.id === engineId)?.host.reload(),

    /** Resolves when nothing of them is left. */
    async stop(): Promise<void> {
      phase = "stopped";
      residency.stop();
      const all = [...replicas, ...leaving];
      await Promise.all(all.map(({ host }) => host.stop()));
      for (const { settled } of all) settled.resolve();
      folder.remove();
    },
  };
}
