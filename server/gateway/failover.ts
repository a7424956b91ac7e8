// What becomes of a call whose engine fails before anything of its answer was sent: it goes to another engine, or back
// into the line, or its caller hears of it. Once a byte is out nothing is repeated.

import { ApiError, ERRORS, RelayedError } from "@oxbow/contract";
import type { Seat } from "../admission/admission.ts";
import { type Engine, EngineStatus, EngineUnreachable, type Outcome, type Signs } from "../fleet/fleet.ts";

/** Calls may be sent a second time as long as that is a small part of all: else repeats would bring down what is left. */
export interface RetryBudget {
  /** A call has come. */
  earn(): void;
  left(): boolean;
  spend(): void;
}

/** What a quiet server may repeat at once, and a busy one after a quiet time. */
const SAVED_MAX = 10;

/** @param percent of the calls, 0 to 100 */
export function createRetryBudget(percent: number): RetryBudget {
  const share = percent / 100;
  let saved = share === 0 ? 0 : SAVED_MAX;
  return {
    earn: () => {
      saved = Math.min(SAVED_MAX, saved + share);
    },
    left: () => saved >= 1,
    spend: () => {
      saved--;
    },
  };
}

export interface FailoverOptions {
  seat: Omit<Seat<Engine, Outcome>, "close">;
  budget: RetryBudget;
  /** Of the call: the caller has hung up, or its time is over. */
  signal: AbortSignal;
  /** Silence of an engine after which nothing is expected of it any more; ms. */
  silentMsMax: number;
  /** Whether an answer that is well must begin within that time: one that comes as a whole begins when it is there. */
  streams: boolean;
  /** What an engine shows of itself beside this call. */
  signs: (engine: Engine) => Signs;
  /** An engine is asked now: for the first time, or again. */
  onAsk: () => void;
  /** It failed, and the call goes to another one or waits for its turn. */
  onRetry: () => void;
}

/**
 * Asks the engine of the seat, and after a failure decides in this order:
 *  1. the caller is gone, the failure is his mistake or would come again, or the engine makes up failures on order: tell;
 *  2. for the first time, and within the budget, another engine has a free slot: ask that one;
 *  3. nobody was there, or the engine takes no more: stand in line again, as long as the class may wait; the connection was
 *     cut: the same, once;
 *  4. tell.
 *
 * While an engine is silent, 2. comes as soon as it is known to be gone or was sent off, or has shown no sign of life for
 * `silentMsMax`: when there is no other engine, it may still answer.
 *
 * @param ask resolves when the answer has begun. Its signal ends the answer too, for as long as it lasts
 * @throws ApiError, RelayedError; the signal's reason
 */
export async function withFailover<T>(
  { seat, budget, signal, onAsk, onRetry, ...patience }: FailoverOptions,
  ask: (engine: Engine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  budget.earn();
  let repeated = false;
  const repeat = () => {
    budget.spend();
    repeated = true;
    onRetry();
  };
  const elsewhere = (outcome?: Outcome) => !repeated && budget.left() && seat.move(new Set([seat.engine.id]), outcome);
  for (;;) {
    const { engine } = seat;
    onAsk();
    const attempt = createAttempt(signal);
    const watched = watch({ engine, giveUp: attempt.giveUp, elsewhere, ...patience });
    try {
      const answer = await ask(engine, attempt.signal);
      if (!watched.left()) {
        seat.report({ kind: "ok" });
        return answer;
      }
      repeat(); // what came at the last moment was hung up on
    } catch (thrown) {
      attempt.forget();
      if (signal.aborted) throw signal.reason ?? thrown;
      if (watched.left()) {
        repeat();
        continue;
      }
      const error = attempt.signal.aborted ? attempt.signal.reason : thrown;
      const fate = fateOf(error);
      // The failures of one that makes them up are no failures, but nobody makes up that nobody is there.
      if (fate !== null && (!engine.simulated || error instanceof EngineUnreachable)) seat.report(fate);
      const again = repeatsAs(error, fate, engine); // 1
      if (again === "never") throw told(error);
      if (elsewhere()) {
        repeat(); // 2
        continue;
      }
      if (again === "elsewhere" || (again === "anywhere" && repeated)) throw told(error); // 4
      repeated ||= again === "anywhere";
      onRetry();
      await seat.again(); // 3
    } finally {
      watched.rest();
    }
  }
}

/** Whether the same call may be sent again: to another engine only, to any, or to any however often. */
type Again = "never" | "elsewhere" | "anywhere" | "later";

function repeatsAs(error: unknown, fate: Outcome | null, engine: Engine): Again {
  // Nobody listens yet, or a worker that is still loading does: nothing of the call was seen.
  if (isBetweenLives(error)) return "later";
  // It was cut off and may have seen the call: once more, and not for ever.
  if (error instanceof EngineUnreachable) return "anywhere";
  if (engine.simulated) return "never";
  switch (fate?.kind) {
    case "unreachable":
      return "anywhere";
    case "busy":
      return "later";
    case "silent":
      return "elsewhere";
    case "failed":
      return REPEATED.has(statusOf(error) ?? 0) ? "elsewhere" : "never";
    default:
      return "never";
  }
}

/** Statuses after which another engine may do better; what comes with 500 comes again. */
const REPEATED = new Set([502, 504]);

/** What a failure says of its engine; null: nothing. */
export function fateOf(error: unknown): Outcome | null {
  if (error instanceof EngineUnreachable) return { kind: "unreachable" };
  if (error instanceof RelayedError) return fateOfStatus(error.status, waitMsOf(error.headers));
  if (!(error instanceof ApiError)) return null;
  switch (error.row) {
    case "engine_timeout":
      return { kind: "silent" };
    case "queue_full":
    case "model_not_ready":
      return { kind: "busy", retryAfterMs: waitMsOf(error.headers) };
    case "engine_failed":
    case "engine_interrupted":
      return isCut(error.cause) ? { kind: "unreachable" } : { kind: "failed" };
    default:
      return null;
  }
}

function fateOfStatus(status: number, retryAfterMs: number | undefined): Outcome {
  if (status === 429 || status === 503) return { kind: "busy", retryAfterMs };
  return { kind: status >= 500 ? "failed" : "ok" };
}

function waitMsOf(headers: Record<string, string>): number | undefined {
  const ms = Number(headers["retry-after-ms"] ?? Number(headers["retry-after"]) * 1000);
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

/** A status that came, or the one that is told in its place. */
function statusOf(error: unknown): number | null {
  if (error instanceof RelayedError) return error.status;
  if (!(error instanceof ApiError)) return null;
  return error.cause instanceof EngineStatus ? error.cause.status : null;
}

/** The connection ended; what an engine says in its own words has no such code. */
function isCut(cause: unknown): boolean {
  for (let at = cause; at instanceof Error; at = at.cause) {
    if (typeof (at as { code?: unknown }).code === "string") return true;
  }
  return false;
}

function isBetweenLives(error: unknown): boolean {
  if (error instanceof RelayedError) return error.body.error.code === ERRORS.model_not_ready.code;
  return error instanceof EngineUnreachable && (error.cause as { code?: unknown } | undefined)?.code !== "ECONNRESET";
}

/** What the caller hears. */
function told(error: unknown): unknown {
  if (error instanceof ApiError || error instanceof RelayedError) return error;
  return new ApiError("engine_failed", "The engine could not be reached. Try again.", {
    cause: error,
    retryAfterMs: UNREACHABLE_RETRY_MS,
  });
}

/** A worker is back after about this long. */
const UNREACHABLE_RETRY_MS = 1_000;

/**
 * The signal of one attempt: it ends with that of the call, or when the engine is given up. In a function of its own, because
 * what listens here lives as long as the answer: beside `ask` it would keep the call, prompt and all, in memory for as long.
 */
function createAttempt(signal: AbortSignal) {
  const controller = new AbortController();
  const end = () => controller.abort(signal.reason);
  signal.addEventListener("abort", end);
  return {
    signal: controller.signal,
    giveUp: (ms: number) =>
      controller.abort(new ApiError("engine_timeout", `The engine said nothing for ${ms / 1000} s. Try again.`)),
    forget: () => signal.removeEventListener("abort", end),
  };
}

/** Between two looks at an engine from which nothing comes. */
const WATCH_MS = 1_000;

interface WatchOptions extends Pick<FailoverOptions, "silentMsMax" | "streams" | "signs"> {
  engine: Engine;
  giveUp: (ms: number) => void;
  /** Exchanges the slot for one of another engine. @returns false: there is none */
  elsewhere: (outcome?: Outcome) => boolean;
}

/** Watches an engine that was asked, until its answer begins. */
function watch({ engine, silentMsMax, streams, signs, giveUp, elsewhere }: WatchOptions) {
  const since = performance.now();
  let left = false;
  let timer = setTimeout(look, Math.min(WATCH_MS, silentMsMax));

  function look(): void {
    const waitedMs = performance.now() - since;
    const late = streams && waitedMs >= silentMsMax;
    left = !late && !engine.simulated && shouldLeave(waitedMs);
    if (late || left) {
      giveUp(silentMsMax);
      return;
    }
    const restMs = silentMsMax - waitedMs;
    timer = setTimeout(look, Math.min(WATCH_MS, restMs > 0 ? restMs : silentMsMax));
  }

  function shouldLeave(waitedMs: number): boolean {
    const { lost, quietMs } = signs(engine);
    const silent = Math.min(waitedMs, quietMs) >= silentMsMax;
    try {
      return (lost || silent) && elsewhere(silent ? { kind: "silent" } : undefined);
    } catch {
      return false; // nothing serves the model any more: what this one says is all that can come
    }
  }

  return {
    /** The call has a slot of another engine, and is to go there. */
    left: () => left,
    /** The answer has begun, or will not. */
    rest: () => clearTimeout(timer),
  };
}
