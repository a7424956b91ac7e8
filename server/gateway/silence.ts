// How long an engine is waited for that was asked and says nothing: until it is late, or another one would do better.

import { ApiError } from "@oxbow/contract";
import { type Engine, EngineUnreachable, type Outcome, type Signs } from "../fleet/fleet.ts";
import { type HangUp, shuttingDown } from "./hang-up.ts";
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
  /** How long engines had the call before this one; ms. */
  readonly spentMs: number;
  /** Exchanges the slot for one of another engine. @returns false: there is none, or too many have done so */
  elsewhere(outcome?: Outcome): boolean;
  /** Whether it may stand in line again for another engine. */
  mayWait(): boolean;
}

/** Between two looks at an engine from which nothing comes. */
const LOOK_MS = 1_000;
/** Without a sign of life for so long, an engine that is lost as well is as good as cut off. */
const LOST_MS = 5_000;

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
    if (wholeMsMax !== null && this.tries.spentMs + waitedMs >= wholeMsMax) {
      this.over = true;
      this.hangUp.end(saidNothing(wholeMsMax));
      return;
    }
    if (waitedMs < this.lookAtMs) return;
    this.lookAtMs = waitedMs + Math.min(LOOK_MS, Math.max(silentMsMax - waitedMs, 0) || silentMsMax);
    const late = wholeMsMax === null && waitedMs >= silentMsMax;
    const why = late ? saidNothing(silentMsMax) : this.engine.simulated ? null : this.whyLeft(waitedMs);
    if (why === null) return;
    this.over = true;
    this.hangUp.giveUp(why);
  }

  onStop(): void {
    this.over = true;
    this.hangUp.end(shuttingDown());
  }

  /** null: it is waited for. */
  private whyLeft(waitedMs: number): Error | null {
    const { silentMsMax, signs } = this.patience;
    const { lost, quietMs } = signs(this.engine);
    const silentMs = Math.min(waitedMs, quietMs);
    const silent = silentMs >= silentMsMax;
    if (!lost && !silent) return null;
    try {
      this.left = this.tries.elsewhere(silent ? { kind: "silent" } : undefined);
    } catch {
      return null; // nothing serves the model any more: what this one says is all that can come
    }
    if (this.left) return saidNothing(silentMsMax);
    return lost && silentMs >= LOST_MS && this.tries.mayWait() ? cutOff(this.engine) : null;
  }
}

function cutOff({ id }: Engine): EngineUnreachable {
  return new EngineUnreachable(id, Object.assign(new Error("it is lost"), { code: "ECONNRESET" }));
}

function saidNothing(ms: number): ApiError {
  return new ApiError("engine_timeout", `The engine said nothing for ${ms / 1000} s. Try again.`);
}
