// What becomes of a call whose engine fails before anything of its answer was sent: it goes to another engine, or back
// into the line, or its caller hears of it. Once a byte is out nothing is repeated.

import { ApiError, RelayedError } from "@oxbow/contract";
import type { Seat } from "../admission/admission.ts";
import { type Engine, EngineUnreachable, type Outcome } from "../fleet/fleet.ts";
import { fateOf, repeatsAs } from "./fate.ts";
import type { HangUp } from "./hang-up.ts";
import type { Pulse } from "./pulse.ts";
import { type Elsewhere, type Patience, Watch } from "./silence.ts";

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

export interface FailoverOptions extends Patience {
  seat: Omit<Seat<Engine, Outcome>, "close">;
  budget: RetryBudget;
  hangUp: HangUp;
  /** Beats for each engine that was asked and has not begun to answer. */
  waits: Pulse;
  /** How long the call stays in line altogether, once an engine has said that it takes no more. */
  busyMsMax: number;
  /** Whether another engine may take the call where one takes no more. */
  shared: boolean;
  /** Monotonic ms. */
  now: () => number;
  /** It failed, and the call goes to another one or waits for its turn. */
  onRetry: () => void;
}

/**
 * Asks the engine of the seat, and after a failure decides in this order:
 *  1. the caller is gone, the failure is his mistake or would come again, or the engine makes up failures on order: tell;
 *  2. for the first time, and within the budget, another engine has a free slot: ask that one;
 *  3. nobody was there: stand in line again, as long as the class may wait; the connection was cut: the same, once;
 *  4. the engine takes no more: stand in line again, for `busyMsMax` in all; not at all, when no other engine is there and
 *     it says that it will take longer;
 *  5. tell.
 *
 * While an engine is silent, 2. comes as soon as it is known to be gone or was sent off, or has shown no sign of life for
 * `silentMsMax`: when there is no other engine, it may still answer. 3. follows where several serve the model and the one that
 * is gone shows no sign of life for some seconds: it counts as cut off.
 *
 * @param ask resolves when the answer has begun. Its signal ends the answer too, for as long as it lasts
 * @throws ApiError, RelayedError; the signal's reason
 */
export async function withFailover<T>(
  options: FailoverOptions,
  ask: (engine: Engine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { seat, budget, hangUp, waits, busyMsMax, shared, now } = options;
  budget.earn();
  const tries = new Tries(options);
  let busyUntil: number | null = null;
  for (;;) {
    const { engine } = seat;
    const watch = new Watch(waits.now(), engine, options, tries, hangUp);
    waits.add(watch);
    try {
      const answer = await ask(engine, hangUp.signal);
      waits.remove(watch);
      tries.spentMs += waits.now() - watch.lastMs;
      if (!watch.left) {
        seat.report(WELL);
        return answer;
      }
      tries.repeat(); // what came at the last moment was hung up on
      hangUp.renew();
    } catch (thrown) {
      waits.remove(watch);
      tries.spentMs += waits.now() - watch.lastMs;
      const { signal } = hangUp;
      if (hangUp.ended) throw signal.reason ?? thrown;
      hangUp.renew();
      if (watch.left) {
        tries.repeat();
        continue;
      }
      const error = signal.aborted ? signal.reason : thrown;
      const fate = fateOf(error);
      // The failures of one that makes them up are no failures, but nobody makes up that nobody is there.
      if (fate !== null && (!engine.simulated || error instanceof EngineUnreachable)) seat.report(fate);
      const again = repeatsAs(error, fate, engine); // 1
      if (again === "never") throw told(error);
      if (tries.elsewhere()) {
        tries.repeat(); // 2
        continue;
      }
      if (again === "elsewhere" || (again === "anywhere" && tries.repeated)) throw told(error); // 5
      tries.repeated ||= again === "anywhere";
      if (again !== "soon") {
        options.onRetry();
        await seat.again(hangUp.signal); // 3
        continue;
      }
      busyUntil ??= now() + busyMsMax;
      const leftMs = busyUntil - now();
      const wantsMs = retryAfterOf(fate);
      if (leftMs <= 0 || (!shared && wantsMs > leftMs)) throw busy(wantsMs, error); // 5
      options.onRetry();
      await againWithin(leftMs, wantsMs, error, options); // 4
    }
  }
}

const WELL: Outcome = { kind: "ok" };

/** How often a call was sent, as far as that may be repeated. */
class Tries implements Elsewhere {
  /** It was sent a second time, to an engine that had not refused it. */
  repeated = false;
  spentMs = 0;
  private readonly options: FailoverOptions;

  constructor(options: FailoverOptions) {
    this.options = options;
  }

  elsewhere(outcome?: Outcome): boolean {
    const { seat, budget } = this.options;
    return !this.repeated && budget.left() && seat.move(new Set([seat.engine.id]), outcome);
  }

  mayWait(): boolean {
    return this.options.shared && !this.repeated;
  }

  repeat(): void {
    this.options.budget.spend();
    this.repeated = true;
    this.options.onRetry();
  }
}

async function againWithin(
  ms: number,
  wantsMs: number,
  why: unknown,
  { seat, hangUp }: FailoverOptions,
): Promise<void> {
  try {
    await seat.again(hangUp.signal, ms);
  } catch (late) {
    throw isLate(late) ? busy(wantsMs, why) : late;
  }
}

function retryAfterOf(fate: Outcome | null): number {
  return (fate?.kind === "busy" ? fate.retryAfterMs : undefined) ?? 0;
}

function isLate(error: unknown): boolean {
  return error instanceof ApiError && error.row === "queue_timeout";
}

/** What the caller hears of an engine that takes no more: its limits are not his, and he is not the one who broke them. */
function busy(retryAfterMs: number, cause: unknown): ApiError {
  const waitMs = Math.min(BUSY_RETRY_MS_MAX, Math.max(BUSY_RETRY_MS_MIN, retryAfterMs));
  const text = `The engine takes no more calls for now. Try again in ${Math.ceil(waitMs / 1000)} s.`;
  return new ApiError("queue_timeout", text, { cause, retryAfterMs: waitMs });
}

/** SDKs wait as long as they are told up to a minute, and take more for never. */
const BUSY_RETRY_MS_MIN = 1_000;
const BUSY_RETRY_MS_MAX = 60_000;

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
