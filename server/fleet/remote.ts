// An engine that is a server elsewhere. Nobody starts it here: it is probed until it is there and has answered, looked at
// from time to time, and sought again when it is gone. One that can sleep and shares its memory with others is awake while
// residency.ts says so.

import { RelayedError, type WorkerModel } from "@oxbow/contract";
import type { EngineEntry, EngineKind } from "../config.ts";
import { createRemoteEngine, type Engine, isAsleep, probe, readLoad, sleep, wake } from "../engines/engines.ts";
import { createLook } from "./look.ts";
import type { Environment } from "./process.ts";
import { proofOf } from "./proof.ts";
import type { Host, HostState } from "./replica.ts";
import { backoffMs, type Clock, type Log } from "./worker.ts";

export interface RemoteOptions {
  kind: EngineKind;
  models: WorkerModel[];
  /** Where API keys are looked up. */
  env: Environment;
  /** Ids of the classes of callers. */
  classes: readonly string[];
  onState: (state: HostState) => void;
  /** Somebody asks for it while it is cold. */
  onWanted: () => void;
  /** It was found awake or asleep. */
  onFound: (awake: boolean) => void;
  /** The first attempt to reach it is over, however it went. */
  onTried: () => void;
  log: Log;
  /** For its answer to the first call. */
  loadMsMax: number;
  clock: Clock;
  random: () => number;
}

/** For all questions of a probe together. */
const PROBE_MS_MAX = 10_000;
const LOAD_MS_MAX = 2_000;
/** Weights go to the machine's memory, or are dropped. */
const SLEEP_MS_MAX = 120_000;
/** Within this time it is looked for again. */
const SEEK_MS_MAX = 10_000;

export function createRemote(entry: EngineEntry, options: RemoteOptions): Host {
  const { id } = entry;
  const { models, log, clock } = options;
  const engine = createRemoteEngine(entry, options.kind, { ...options.env }, options.classes);
  let state: HostState = { state: "cold" };
  /** What it said of itself, for the log. */
  let told: object = {};
  let seeking: Promise<void> | null = null;
  let seekAt = 0;
  let stopped = false;
  const sleeps = entry.pool !== undefined && engine.remote?.sleep !== undefined;
  let asleep = false;
  /** It has its memory, as far as the fleet is concerned. */
  let granted = !sleeps;
  /** It is awake, and takes no more calls. */
  let resting = false;
  /** Ends the pause before the next attempt. */
  let pause = new AbortController();
  const end = new AbortController();

  function enter(next: HostState): void {
    if (Bun.deepEquals(next, state)) return;
    state = next;
    options.onState(next);
  }

  /** Until it is there. */
  async function seek(): Promise<void> {
    for (let failures = 1; !stopped; failures++) {
      const reason = await attempt();
      if (stopped) break;
      if (asleep) {
        log.info({ engine: id }, "engine reached, asleep");
        if (granted) void wakeUp();
        else {
          options.onTried();
          enter({ state: "cold" });
          options.onFound(false);
        }
        return;
      }
      if (reason === null) {
        if (sleeps) {
          granted = true;
          options.onFound(true);
        }
        log.info({ engine: id, ...told }, "engine reached");
        enter({ state: "warm" });
        options.onTried();
        return;
      }
      const waitMs = Math.min(SEEK_MS_MAX, backoffMs(failures, options.random()));
      seekAt = clock.now() + waitMs;
      log.error({ engine: id, reason, againInMs: Math.round(waitMs), failures }, "engine not reached");
      enter({ state: "loading", progress: 0, reason });
      options.onTried();
      pause = new AbortController();
      await clock.sleep(waitMs, pause.signal);
    }
  }

  /** @returns why it cannot be used, in a sentence; null: it can */
  async function attempt(): Promise<string | null> {
    const signal = AbortSignal.any([end.signal, AbortSignal.timeout(PROBE_MS_MAX)]);
    const ids = models.map((model) => model.id);
    const found = await probe(engine, signal, ids);
    if (found.problem !== null) return found.problem;
    const { version, metrics, prioritySupported } = found;
    told = { version, models: found.models.length, metrics, prioritySupported };
    asleep =
      sleeps && (await isAsleep(engine, AbortSignal.any([end.signal, AbortSignal.timeout(LOAD_MS_MAX)]))) === true;
    if (asleep) return null;
    return entry.pinned
      ? prove(engine, models, AbortSignal.any([end.signal, AbortSignal.timeout(options.loadMsMax)]))
      : null;
  }

  function lookFor(): void {
    if (stopped) return;
    seeking ??= seek().finally(() => {
      seeking = null;
    });
  }

  async function wakeUp(): Promise<void> {
    if (!asleep || stopped) return;
    asleep = false;
    enter({ state: "loading", progress: 0 });
    if (await wake(engine, AbortSignal.any([end.signal, AbortSignal.timeout(options.loadMsMax)]))) {
      lookFor();
      return;
    }
    options.onTried();
    if (stopped) return;
    // Whoever waits for it asks again when it is cold: not at once.
    const waitMs = backoffMs(4, options.random());
    log.error({ engine: id, againInMs: Math.round(waitMs) }, "engine not woken");
    seekAt = clock.now() + waitMs;
    await clock.sleep(waitMs, end.signal);
    if (stopped) return;
    granted = false;
    options.onFound(false);
    // It may have been started anew, and be awake.
    lookFor();
  }

  const look = createLook(engine, () => state.state === "warm");
  return {
    engine,
    models,
    start: () => {
      enter({ state: "loading", progress: 0 });
      lookFor();
    },
    state: () => (resting ? { state: "cold" } : state),
    warmInMs: () => Math.max(WARM_IN_MS_MIN, seekAt - clock.now()),
    warm() {
      // When it does not sleep, it is being looked for all the time.
      if (sleeps && (asleep || resting)) options.onWanted();
    },

    load() {
      granted = true;
      if (asleep) void wakeUp();
      if (!resting) return;
      resting = false;
      options.onState(state);
    },

    rest() {
      granted = false;
      resting = true;
      options.onState({ state: "cold" });
    },

    async unload() {
      const late = AbortSignal.any([end.signal, AbortSignal.timeout(SLEEP_MS_MAX)]);
      if (!(await sleep(engine, late))) {
        log.error({ engine: id }, "engine did not fall asleep");
        throw new Error("it did not fall asleep");
      }
      asleep = true;
      resting = false;
      enter({ state: "cold" });
    },

    fail(reason) {
      enter({ state: "failed", reason });
    },

    reload: () => pause.abort(),

    async look() {
      const found = await look();
      if (found === "gone" && state.state === "warm" && !stopped) {
        log.error({ engine: id }, "engine gone");
        enter({ state: "loading", progress: 0, reason: "Nobody answers at its address." });
        lookFor();
      }
      return found;
    },

    readLoad: () => readLoad(engine, AbortSignal.timeout(LOAD_MS_MAX)),

    async stop() {
      stopped = true;
      end.abort();
      pause.abort();
      await seeking;
      enter({ state: "cold" });
    },
  };
}

const WARM_IN_MS_MIN = 500;

/** Asks one of its models for the least it can do, in the words of its kind: an address that answers may have no weights. */
async function prove(engine: Engine, models: readonly WorkerModel[], signal: AbortSignal): Promise<string | null> {
  for (const model of models) {
    const proof = proofOf(model, engine);
    if (proof === null) continue;
    try {
      await engine.call(proof.path, proof.bytes, { signal, model: model.id, contentType: proof.contentType });
      return null;
    } catch (error) {
      const status = error instanceof RelayedError ? ` (status ${error.status})` : "";
      return `It did not answer a first call for the model ${model.id}${status}.`;
    }
  }
  return null;
}
