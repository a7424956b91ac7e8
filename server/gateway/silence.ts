// How long an engine is waited for that was asked and says nothing: until it is late, or another one would do better.

import { ApiError } from "@oxbow/contract";
import type { Engine, Outcome, Signs } from "../fleet/fleet.ts";

export interface Patience {
  /** Silence of an engine after which nothing is expected of it any more; ms. */
  silentMsMax: number;
  /** Whether an answer that is well must begin within that time: one that comes as a whole begins when it is there. */
  streams: boolean;
  /** What an engine shows of itself beside this call. */
  signs: (engine: Engine) => Signs;
}

/**
 * The signal of one attempt: it ends with that of the call, or when the engine is given up. In a function of its own, because
 * what listens here lives as long as the answer: beside `ask` it would keep the call, prompt and all, in memory for as long.
 */
export function createAttempt(signal: AbortSignal) {
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

interface WatchOptions extends Patience {
  engine: Engine;
  giveUp: (ms: number) => void;
  /** Exchanges the slot for one of another engine. @returns false: there is none */
  elsewhere: (outcome?: Outcome) => boolean;
}

/** Watches an engine that was asked, until its answer begins. */
export function watch({ engine, silentMsMax, streams, signs, giveUp, elsewhere }: WatchOptions) {
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
