// How long an engine is waited for that was asked and says nothing: until it is late, or another one would do better.

import { ApiError } from "@oxbow/contract";
import type { Engine, Outcome, Signs } from "../fleet/fleet.ts";
import type { HangUp } from "./hang-up.ts";
import type { Beat } from "./pulse.ts";

export interface Patience {
  /** Silence of an engine after which nothing is expected of it any more; ms. A stream must begin within that time. */
  silentMsMax: number;
  /** For an answer that comes as a whole: it must be there within this time; ms. null: it is a stream. */
  wholeMsMax: number | null;
  /** What an engine shows of itself beside this call. */
  signs: (engine: Engine) => Signs;
}

/** Where else a call may go. */
export interface Elsewhere {
  /** Exchanges the slot for one of another engine. @returns false: there is none */
  elsewhere(outcome?: Outcome): boolean;
}

/** Between two looks at an engine from which nothing comes. */
const LOOK_MS = 1_000;

/** Watches an engine that was asked, until its answer begins. Every call has one. */
export class Watch implements Beat {
  readonly lastMs: number;
  /** The call has a slot of another engine, and is to go there. */
  left = false;
  private over = false;
  private lookAtMs: number;
  private readonly engine: Engine;
  private readonly patience: Patience;
  private readonly tries: Elsewhere;
  private readonly hangUp: HangUp;

  /** @param nowMs in the clock of the pulse that it is added to */
  constructor(nowMs: number, engine: Engine, patience: Patience, tries: Elsewhere, hangUp: HangUp) {
    this.lastMs = nowMs;
    this.engine = engine;
    this.patience = patience;
    this.tries = tries;
    this.hangUp = hangUp;
    this.lookAtMs = Math.min(LOOK_MS, patience.silentMsMax);
  }

  onTick(waitedMs: number): void {
    if (this.over) return;
    const { silentMsMax, wholeMsMax } = this.patience;
    if (wholeMsMax !== null && waitedMs >= wholeMsMax) {
      this.over = true;
      this.hangUp.end(saidNothing(wholeMsMax));
      return;
    }
    if (waitedMs < this.lookAtMs) return;
    this.lookAtMs = waitedMs + Math.min(LOOK_MS, Math.max(silentMsMax - waitedMs, 0) || silentMsMax);
    const late = wholeMsMax === null && waitedMs >= silentMsMax;
    this.left = !late && !this.engine.simulated && this.leaves(waitedMs);
    this.over = late || this.left;
    if (this.over) this.hangUp.giveUp(saidNothing(silentMsMax));
  }

  private leaves(waitedMs: number): boolean {
    const { silentMsMax, signs } = this.patience;
    const { lost, quietMs } = signs(this.engine);
    const silent = Math.min(waitedMs, quietMs) >= silentMsMax;
    try {
      return (lost || silent) && this.tries.elsewhere(silent ? { kind: "silent" } : undefined);
    } catch {
      return false; // nothing serves the model any more: what this one says is all that can come
    }
  }
}

function saidNothing(ms: number): ApiError {
  return new ApiError("engine_timeout", `The engine said nothing for ${ms / 1000} s. Try again.`);
}
