// What a relayed call asks of admission: what the plan's rules and the line go by, and the counting of its prompt.

import { ApiError, RelayedError } from "@oxbow/contract";
import type { Caller } from "../accounts/accounts.ts";
import type { Ask, Measure, Ticket } from "../admission/admission.ts";
import type { Model } from "../config.ts";
import type { Engine } from "../fleet/fleet.ts";
import { affinityOf } from "./affinity.ts";
import type { Prepared, RelayCall } from "./call.ts";
import type { Exchange } from "./exchange.ts";
import { bytesFor } from "./forward.ts";

/** What a call asks of admission. Every call has one, so it is of a class. */
export class CallAsk implements Ask {
  readonly caller: Caller;
  readonly model: Model;
  readonly line: string | undefined;
  readonly within: string | undefined;
  readonly inputTokens: number;
  readonly inputField: string;
  readonly outputTokens: number | null;
  readonly choices: number;
  readonly affinity: string | undefined;
  readonly measures: readonly Measure[];
  readonly signal: AbortSignal;
  readonly prepare: (() => Promise<readonly Measure[]>) | undefined;
  /** What `prepare` came to. */
  prepared: Prepared | null = null;
  private readonly exchange: Exchange;
  private readonly call: RelayCall;
  private readonly more: Record<string, string>;

  constructor(exchange: Exchange, call: RelayCall, more: Record<string, string>, signal: AbortSignal) {
    const { served, rooms } = exchange;
    this.exchange = exchange;
    this.call = call;
    this.more = more;
    this.signal = signal;
    this.caller = exchange.caller!;
    // What he may, and what it counts, goes by what he asked for; the wait by what answers.
    this.model = call.model;
    this.line = served?.id;
    this.within = exchange.within;
    this.inputTokens = call.inputTokens;
    this.inputField = call.inputField;
    this.outputTokens = call.outputTokens;
    this.choices = call.generations;
    this.affinity = affinityOf(served?.id ?? call.model.id, call.body, rooms.limits.affinityCharsMax);
    this.measures = call.measures ?? NO_MEASURES;
    this.prepare = call.prepare && preparing(this, call.prepare);
  }

  async countTokens(): Promise<number> {
    const { call, signal } = this;
    const { served } = this.exchange;
    const { count } = call.engine;
    // An engine that cannot count: the bound is all there is to know.
    if (!count) return call.inputTokens;
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(COUNT_MS_MAX)]);
    const asked = served === null ? call.received : bytesFor(served, call.body, call.received);
    return (await reach(signal, () => count(call.path, asked, inTime))) ?? call.inputTokens;
  }

  onAllowed({ clamped, outputTokensMax }: Pick<Ticket<Engine>, "clamped" | "outputTokensMax">): void {
    this.exchange.trace?.part("queue", "internal");
    if (clamped) this.more["x-oxbow-max-tokens-clamped"] = String(outputTokensMax);
  }
}

const NO_MEASURES: readonly Measure[] = [];

function preparing(ask: CallAsk, prepare: NonNullable<RelayCall["prepare"]>) {
  return async (): Promise<readonly Measure[]> => {
    ask.prepared = await prepare(ask.signal);
    return ask.prepared.measures ?? NO_MEASURES;
  };
}

/** A tokenizer reads megabytes in a second. */
const COUNT_MS_MAX = 10_000;

/** What `ask` of an engine comes to. @throws ApiError `engine_failed` when nobody is there */
async function reach<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiError || error instanceof RelayedError) throw error;
    if (signal.aborted) throw signal.reason;
    throw new ApiError("engine_failed", "The engine could not be reached. Try again.", {
      cause: error,
      retryAfterMs: UNREACHABLE_RETRY_MS,
    });
  }
}

/** A worker is back after about this long. */
const UNREACHABLE_RETRY_MS = 1_000;
