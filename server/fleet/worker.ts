// Keeps one worker process alive: starts it, watches it load, has it prove itself, starts it again when it dies. How many
// calls it gets is counted in fleet.ts.

import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT_MODEL_UNUSABLE, readJson, type WorkerConfig, type WorkerHealth } from "@oxbow/contract";
import { type Environment, type Exit, startProcess, type WorkerProcess } from "./process.ts";

export type WorkerState =
  | { state: "cold" }
  /** `reason`: why it is loading again. */
  | { state: "loading"; progress: number; reason?: string }
  /** `contextTokens`: what a request really has, where the worker says so. */
  | { state: "warm"; contextTokens?: number }
  | { state: "failed"; reason: string };

export interface Worker {
  /** Starts the process, and from then on starts it again whenever it ends. Also after a stop that has resolved. */
  start(): void;
  state(): WorkerState;
  /** A guess, in milliseconds: when to ask again while it is loading. */
  warmInMs(): number;
  /** Ends the wait of a failed worker, or the pause before a restart. */
  reload(): void;
  /** Resolves when the process is gone: asked to end, and killed after `stopMsMax`. */
  stop(): Promise<void>;
}

export interface WorkerOptions {
  /** The engine's id, for the log. */
  id: string;
  /** The program: path of a TypeScript file that keeps the contract's worker protocol. */
  path: string;
  config: WorkerConfig;
  env: Environment;
  /** Sends the loaded worker a real request. Rejects when the answer is none. */
  prove(signal: AbortSignal): Promise<void>;
  onState(state: WorkerState): void;
  log: Log;
  /** From its start until it is warm; one that takes longer is killed and started again. */
  loadMsMax: number;
  /** From SIGTERM to SIGKILL. */
  stopMsMax: number;
  clock: Clock;
  /** 0 to 1. */
  random(): number;
}

export interface Log {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Clock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Resolves after `ms`, or earlier when the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  // It rejects only for the signal, which whoever waits looks at next.
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {}),
};

/** Between two looks at a loading worker: short, because a small model is there in a moment; then longer. */
const POLL_MS_MIN = 10;
const POLL_MS_MAX = 500;
const HEALTH_MS_MAX = 2_000;
const HEALTH_BYTES_MAX = 65_536;

/** What is told to callers who come while it loads, before one load has been timed; and between which bounds. */
const WARM_IN_MS_GUESS = 2_000;
const WARM_IN_MS_MIN = 500;
const WARM_IN_MS_MAX = 30_000;

/** A worker that answered and then says nothing for so long is stuck: loading leaves its thread free. */
const SILENT_MS_MAX = 60_000;

/** Lives in a row that ended before the worker was ever warm: the next would too, until somebody repairs what it lacks. */
const COLD_FAILURES_MAX = 5;

/** A worker that was warm for this long has not failed at starting: its next failure is its first. */
const WARM_MS_HEALTHY = 60_000;

export function createWorker(options: WorkerOptions): Worker {
  const { id, config, log, clock } = options;
  let state: WorkerState = { state: "cold" };
  let running: WorkerProcess | undefined;
  let supervision: Promise<void> | undefined;
  let stopping = false;
  /** Ends the pause before the next start. */
  let pause = new AbortController();
  let startAt = 0;
  let loadMsLast = WARM_IN_MS_GUESS;

  function enter(next: WorkerState) {
    if (Bun.deepEquals(next, state)) return;
    state = next;
    options.onState(next);
  }

  /** Life after life, until `stop`. */
  async function supervise() {
    let failures = 0;
    let everWarm = false;
    let reason: string | undefined;
    while (!stopping) {
      const life = await live(reason);
      if (stopping) break;
      pause = new AbortController();
      failures = life.warmMs >= WARM_MS_HEALTHY ? 1 : failures + 1;
      everWarm ||= life.warmMs > 0;
      const fatal = life.fatal ?? (!everWarm && failures >= COLD_FAILURES_MAX ? hopeless(failures, life) : undefined);
      if (fatal !== undefined) {
        log.error({ engine: id, reason: fatal, lastWords: life.lastWords }, "worker failed for good");
        enter({ state: "failed", reason: fatal });
        await aborted(pause.signal);
        failures = 0;
        reason = undefined;
      } else {
        reason = life.end;
        const waitMs = backoffMs(failures, options.random());
        startAt = clock.now() + waitMs;
        log.error(
          { engine: id, reason, restartInMs: Math.round(waitMs), failures, lastWords: life.lastWords },
          "worker ended",
        );
        await clock.sleep(waitMs, pause.signal);
      }
    }
    enter({ state: "cold" });
  }

  /** One life of the process, from its start to its end. */
  async function live(reason: string | undefined): Promise<Life> {
    const again = reason === undefined ? {} : { reason };
    startAt = clock.now();
    enter({ state: "loading", progress: 0, ...again });
    rmSync(config.socket, { force: true });
    let worker: WorkerProcess;
    try {
      worker = startProcess(options.path, config, options.env, (line) => log.info({ engine: id }, line));
    } catch (cause) {
      return { end: `Its process could not be started: ${messageOf(cause)}.`, warmMs: 0, lastWords: [] };
    }
    running = worker;
    log.info({ engine: id, pid: worker.pid, threads: config.threads, slots: config.slots }, "worker started");

    const gone = new AbortController();
    let warmAt: number | undefined;
    let trouble: string | undefined;
    const loaded = load(gone.signal, again).then(
      (found) => {
        if (gone.signal.aborted) return;
        warmAt = clock.now();
        loadMsLast = warmAt - startAt;
        log.info({ engine: id, loadMs: Math.round(loadMsLast) }, "worker warm");
        enter({ state: "warm", ...found });
      },
      (cause) => {
        if (gone.signal.aborted) return;
        trouble = messageOf(cause);
        worker.kill("SIGKILL");
      },
    );

    const exit = await worker.exited;
    // First of all: from here on no call is sent to it.
    gone.abort();
    running = undefined;
    const end = trouble ?? `Its process ended (${exit.signal ?? `exit code ${exit.code}`}).`;
    if (!stopping) enter({ state: "loading", progress: 0, reason: end });
    await loaded;
    rmSync(config.socket, { force: true });
    const lastWords = await worker.lastWords();
    return { end, fatal: fatalOf(exit, lastWords), lastWords, warmMs: warmAt === undefined ? 0 : clock.now() - warmAt };
  }

  /** Resolves when the worker has loaded and proved itself. */
  async function load(gone: AbortSignal, again: { reason?: string }): Promise<{ contextTokens?: number }> {
    let found: { contextTokens?: number } = {};
    let progress = 0;
    let pollMs = POLL_MS_MIN;
    const leftMs = () => startAt + options.loadMsMax - clock.now();
    const late = `It was not ready within ${options.loadMsMax / 1000} s.`;
    let heardAt: number | undefined;
    for (;;) {
      const health = await fetchHealth(config.socket, gone);
      if (health !== null) heardAt = clock.now();
      else if (heardAt !== undefined && clock.now() - heardAt > SILENT_MS_MAX) {
        throw new Error(`It said nothing for ${SILENT_MS_MAX / 1000} s while it loaded.`);
      }
      if (health?.state === "warm") {
        found = health.contextTokens === undefined ? {} : { contextTokens: health.contextTokens };
        break;
      }
      if (health !== null && health.progress > progress) {
        progress = health.progress;
        enter({ state: "loading", progress, ...again });
      }
      if (leftMs() <= 0) throw new Error(late);
      await clock.sleep(pollMs, gone);
      gone.throwIfAborted();
      pollMs = Math.min(POLL_MS_MAX, pollMs * 1.5);
    }
    const tooLate = new AbortController();
    const timer = setTimeout(() => tooLate.abort(new Error(late)), leftMs());
    await options.prove(AbortSignal.any([gone, tooLate.signal])).finally(() => clearTimeout(timer));
    return found;
  }

  return {
    start() {
      if (supervision !== undefined) return;
      stopping = false;
      supervision = supervise();
    },
    state: () => state,

    warmInMs() {
      const sinceMs = clock.now() - startAt;
      const progress = state.state === "loading" ? state.progress : 0;
      // In the pause before a restart `sinceMs` is negative, and so adds what is left of it.
      const leftMs = progress > 0 ? (sinceMs * (1 - progress)) / progress : loadMsLast - sinceMs;
      return Math.min(WARM_IN_MS_MAX, Math.max(WARM_IN_MS_MIN, leftMs));
    },

    reload: () => pause.abort(),

    async stop() {
      stopping = true;
      pause.abort();
      const ended = supervision ?? Promise.resolve();
      running?.kill("SIGTERM");
      const done = new AbortController();
      await Promise.race([ended, clock.sleep(options.stopMsMax, done.signal)]);
      done.abort();
      running?.kill("SIGKILL");
      await ended;
      supervision = undefined;
    },
  };
}

interface Life {
  /** A sentence. */
  end: string;
  /** Why another life would end the same way. */
  fatal?: string | undefined;
  warmMs: number;
  lastWords: string[];
}

function hopeless(failures: number, { end, lastWords }: Life): string {
  const words = lastWords.at(-1);
  return `It ended ${failures} times before it was ever warm. ${end}${words === undefined ? "" : ` Its last words: ${words}`}`;
}

const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 30_000;

/**
 * How long to wait before the next start: doubling from a quarter second, never more than half a minute. One that
 * was warm before is never given up.
 * Between half of it and all of it, so that workers that fell together do not all load at the same moment.
 *
 * @param failures in a row, at least 1
 * @param chance 0 to 1
 */
export function backoffMs(failures: number, chance: number): number {
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (failures - 1));
  return whole * (0.5 + 0.5 * chance);
}

/** Null while nobody answers: the process has not come to listening yet. */
async function fetchHealth(socket: string, gone: AbortSignal): Promise<WorkerHealth | null> {
  try {
    const signal = AbortSignal.any([gone, AbortSignal.timeout(HEALTH_MS_MAX)]);
    const answer = await fetch("http://engine/health", { unix: socket, signal });
    return readHealth(await readJson(answer, HEALTH_BYTES_MAX));
  } catch {
    // Whatever it is: a worker that never answers is found by the time that it takes.
    return null;
  }
}

function readHealth(value: unknown): WorkerHealth | null {
  if (typeof value !== "object" || value === null) return null;
  const { state, progress, contextTokens } = value as Record<string, unknown>;
  if ((state !== "warm" && state !== "loading") || typeof progress !== "number") return null;
  const context = Number.isSafeInteger(contextTokens) ? { contextTokens: contextTokens as number } : {};
  return { state, progress: Math.min(1, Math.max(0, progress)), ...context };
}

/** The worker's own word on why it can never be started, when it says so. */
function fatalOf(exit: Exit, lastWords: string[]): string | undefined {
  if (exit.code !== EXIT_MODEL_UNUSABLE) return undefined;
  const line = lastWords.findLast((word) => word.startsWith("fatal: "));
  return line?.slice("fatal: ".length) ?? "The worker found its model unusable and did not say why.";
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
