// Whether and when a call may run. One decision over plan, key and what was used today, then a place in the model's line. It
// issues tickets: a slot of a warm engine and what the call holds of its account, until it has ended, however it ends.

import { ApiError } from "@oxbow/contract";
import type { Model, Plan } from "../config.ts";
import { rateLimitHeaders } from "./headers.ts";
import type { Reservation } from "./lease.ts";
import { createLimits, type LimitsOptions, type RuleName } from "./limits.ts";
import { checkCall, checkMeasures, type Length, type Size } from "./plan-rules.ts";
import { createQueues, type QueuesOptions, type Seat } from "./queues.ts";
import { limitReached, type Random } from "./refusals.ts";
import { type Caller, limitsIn, type Measure, rulesOf, type Terms, termsOf, withheldBy } from "./terms.ts";

export type { Reservation } from "./lease.ts";
export type { ModelQueue, Seat } from "./queues.ts";
export type { Measure } from "./terms.ts";

export interface AdmissionOptions<E, O = never> extends Omit<QueuesOptions<E, O>, "now">, LimitsOptions {
  /** Those in force: asked for every call, so that a reload holds from the next one on. */
  plans: () => readonly Plan[];
  random?: Random;
}

export interface Ask extends Size {
  caller: Caller;
  model: Pick<Model, "id" | "tier" | "contextTokens" | "weight">;
  /** Id of the model whose line it stands in; absent: the model's own. */
  line?: string | undefined;
  /** Names the engines that will do; absent: all of the model's. */
  within?: string | undefined;
  /** Calls of the account with the same text go to the same engine where that is possible. */
  affinity?: string | undefined;
  signal: AbortSignal;
  /**
   * What must be done before it stands in line, and may take its time: done by nobody who is beyond his caps.
   * @returns what it found that the plan may limit too
   */
  prepare?: (() => Promise<readonly Measure[]>) | undefined;
  /** Told once plan and limits let it in, before it stands in line. */
  onAllowed?(length: Length): void;
}

export interface Ticket<E, O = never> {
  /** The slot: its engine, its wait, and how to come to another one. */
  readonly seat: Omit<Seat<E, O>, "close">;
  /** The class that it waited in: an id of data/queue.yaml. */
  priority: string;
  /** Tokens of one answer, to be sent to the engine; null: what the caller sent, or left out, is fine as it is. */
  outputTokensMax: number | null;
  /** He asked for more. */
  clamped: boolean;
  /** The UTC day it counts for. */
  day: string;
  /** Requests it counts. */
  units: number;
  /** `settle` it once the ledger has the settlement; `close` does the rest. */
  reservation: Reservation;
  /** Gives back slot and concurrency, and the day's units unless they were settled. Safe to call twice. */
  close(): void;
}

export type Admission<E, O = never> = ReturnType<typeof createAdmission<E, O>>;

export function createAdmission<E, O = never>(options: AdmissionOptions<E, O>) {
  const { plans, now, monotonic, random = Math.random } = options;
  const limits = createLimits(options);
  const queues = createQueues<E, O>({ ...options, now: monotonic });
  const refusals: Record<RuleName, number> = {
    requestsPerDay: 0,
    keyRequestsPerDay: 0,
    requestsPerMinute: 0,
    concurrency: 0,
  };
  let closed = false;

  function reserve(terms: Terms, units: number): Reservation {
    const got = limits.reserve(rulesOf(terms, units));
    if ("rule" in got) {
      refusals[got.rule]++;
      throw limitReached(terms, got, units, random);
    }
    return got;
  }

  /** A call that we send away has used nothing; one that left by itself was a request of the minute. */
  function giveBack(reservation: Reservation, error: unknown): void {
    if (error instanceof ApiError) reservation.withdraw();
    else reservation.release();
  }

  /** What was read and found bad has cost its work: it was a request of the minute. */
  async function prepare(work: () => Promise<readonly Measure[]>, terms: Terms, reservation: Reservation) {
    let found: readonly Measure[];
    try {
      found = await work();
    } catch (error) {
      if (error instanceof ApiError && error.kind.status >= 500) reservation.withdraw();
      else reservation.release();
      throw error;
    }
    try {
      checkMeasures(terms, found);
      if (closed) throw draining();
    } catch (error) {
      reservation.withdraw();
      throw error;
    }
  }

  return {
    /**
     * Decides in this order, and names the first rule that is violated:
     *  1. the server is draining: refuse;
     *  2. model, prompt, other sizes and length of the answer, by plan, trial and key;
     *  3. requests of the day, of the minute, and at the same time: all reserved together, or none;
     *  4. sizes that only `prepare` finds, by plan;
     *  5. the line of the model.
     *
     * @throws ApiError `shutting_down` (1); `model_not_allowed`, `context_length_exceeded`, `input_limit_exceeded`,
     *   `output_limit_exceeded` (2); `insufficient_quota`, `rate_limit_exceeded` (3); `input_limit_exceeded` (4);
     *   `queue_full`, `queue_timeout`, `model_not_ready`, `model_failed` (5);
     *   what counting and preparing throw; the signal's reason on hang-up
     */
    async admit(ask: Ask): Promise<Ticket<E, O>> {
      if (closed) throw draining();
      ask.signal.throwIfAborted();
      const terms = termsOf(ask.caller, plans(), now());
      const checked = checkCall(terms, ask);
      const length = checked instanceof Promise ? await checked : checked;
      // Counting takes a moment.
      if (closed) throw draining();
      ask.signal.throwIfAborted();
      const reservation = reserve(terms, ask.model.weight);
      if (ask.prepare) await prepare(ask.prepare, terms, reservation);
      ask.onAllowed?.(length);
      const { accountId } = ask.caller;
      const { priority } = terms.plan;
      const { affinity, within } = ask;
      try {
        const standing = { accountId, affinity, within, priority, weight: 1, accountDepthMax: null };
        const seat = await queues.enter(ask.line ?? ask.model.id, standing, ask.signal);
        return new HeldTicket(seat, reservation, priority, length);
      } catch (error) {
        giveBack(reservation, error);
        throw error;
      }
    },

    /** Whether the caller may use `model`, by plan, trial and key. */
    allows: (caller: Caller, model: Pick<Model, "id" | "tier">) =>
      withheldBy(termsOf(caller, plans(), now()), model) === null,

    /** What every answer to this caller tells about his limits. */
    headers(caller: Caller): Record<string, string> {
      return rateLimitHeaders(limits.state(rulesOf(termsOf(caller, plans(), now()), 1)));
    },

    /** How the caller stands, in numbers. */
    state: (caller: Caller) => limits.state(rulesOf(termsOf(caller, plans(), now()), 1)),

    /** What holds for the caller's account. */
    limitsOf: (caller: Caller) => limitsIn(termsOf(caller, plans(), now())),

    /** Lets those who wait for `model` go, as far as there are slots. To be called whenever one becomes free. */
    pump: queues.pump,

    /** The lines of all models that were called, by class. */
    queues: queues.report,

    /** Admits nobody any more, and sends away who waits. Calls that run may end. */
    close(): void {
      closed = true;
      queues.fail(draining());
    },

    /** Calls that were refused since the start, by the rule that was in the way. */
    refusals: () => refusals,

    counts: () => ({ ...limits.counts(), waiting: queues.waiting() }),
  };
}

/** Lives as long as the call, and keeps nothing of what was asked alive. */
class HeldTicket<E, O> implements Ticket<E, O> {
  readonly seat: Seat<E, O>;
  readonly reservation: Reservation;
  readonly priority: string;
  readonly outputTokensMax: number | null;
  readonly clamped: boolean;
  readonly day: string;
  readonly units: number;

  constructor(seat: Seat<E, O>, reservation: Reservation, priority: string, length: Length) {
    this.seat = seat;
    this.reservation = reservation;
    this.priority = priority;
    this.outputTokensMax = length.outputTokensMax;
    this.clamped = length.clamped;
    this.day = reservation.day;
    this.units = reservation.units;
  }

  close(): void {
    this.seat.close();
    this.reservation.release();
  }
}

const DRAINING_RETRY_MS = 2_000;

function draining(): ApiError {
  return new ApiError("shutting_down", "The server is shutting down. Try again in a few seconds.", {
    retryAfterMs: DRAINING_RETRY_MS,
  });
}
