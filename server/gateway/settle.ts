// What becomes of one accepted call in the ledger: it is reserved before anything is sent to an engine, and ends once, as
// complete, cancelled or failed. However it ends, its slot and its place in the quota come back here and nowhere else.

import { ApiError, isCounted, type Outcome, RelayedError, type TokenCounts } from "@oxbow/contract";
import type { Ticket } from "../admission/admission.ts";
import type { Engine, Outcome as Fate } from "../fleet/fleet.ts";
import type { StoredAnswer } from "../ledger/ledger.ts";
import type { Exchange } from "./exchange.ts";
import { fateOf } from "./fate.ts";
import type { Claim } from "./idempotency.ts";
import { noteError } from "./record.ts";

export interface Settlement {
  /** Whether the answer has to be kept for a repeat under the same key. */
  readonly keeps: boolean;
  /** The engine has begun to answer: what fails from here on is told of it here. */
  began(): void;
  /** The first token has come from the engine. */
  firstToken(): void;
  /**
   * The answer is complete, and nobody has seen its end. Resolves once the ledger has it on disk: then, and only then, the
   * end may be sent.
   *
   * @param answer what a repeat is to get; null when it is too large to be kept
   * @throws LedgerUnavailable: the call is not counted, and its end must not be sent
   */
  complete(usage: TokenCounts | null, answer?: StoredAnswer | null): Promise<void>;
  /**
   * The caller is gone. Nothing happens when the call has ended already. Resolves when the ledger knows.
   * @param tokenSent whether a token was sent
   */
  cancelled(tokenSent: boolean): void | Promise<void>;
  /** The call has failed, for what was thrown. Nothing happens when it has ended already. */
  failed(error: unknown): void;
}

/** Every call has one, so it is of a class. It keeps nothing of what was asked alive. */
export class CallSettlement implements Settlement {
  private readonly exchange: Exchange;
  private readonly ticket: Ticket<Engine, Fate>;
  private readonly claim: Claim | null;
  private hasBegun = false;
  private ended = false;
  /** What the ledger makes of a call that counts. */
  private settling: Promise<void> | undefined;
  private firstTokenMs: number | null = null;

  /** Reserves the request in the ledger. */
  constructor(
    exchange: Exchange,
    call: { model: { id: string }; path: string },
    ticket: Ticket<Engine, Fate>,
    claim: Claim | null,
  ) {
    this.exchange = exchange;
    this.ticket = ticket;
    this.claim = claim;
    const { record } = exchange;
    record.engine = ticket.seat.engine.id;
    record.priority = ticket.priority;
    record.waitedMs = ticket.seat.waitedMs;
    const { accountId, keyId, plan } = exchange.caller!;
    exchange.rooms.ledger.reserve({
      requestId: exchange.id,
      accountId,
      keyId,
      plan: `${plan.id}@${plan.version}`,
      model: call.model.id,
      endpoint: call.path,
      day: ticket.day,
      units: ticket.units,
      at: Date.now(),
      ...(claim && { idempotencyKey: claim.key, bodyHash: claim.bodyHash }),
    });
  }

  get keeps(): boolean {
    return this.claim !== null;
  }

  began(): void {
    this.hasBegun = true;
  }

  firstToken(): void {
    this.firstTokenMs ??= this.sinceStartMs();
    this.exchange.record.firstTokenMs = this.firstTokenMs;
  }

  complete(usage: TokenCounts | null, answer?: StoredAnswer | null): Promise<void> {
    this.settling = this.settle("complete", usage, this.claim === null ? undefined : (answer ?? NOT_KEPT));
    return this.settling;
  }

  cancelled(tokenSent: boolean): void | Promise<void> {
    if (this.exchange.rooms.stopped()) return this.end(tokenSent ? "interrupted" : "refused");
    return this.end(tokenSent ? "cancelled_after_first_token" : "cancelled_before_first_token");
  }

  failed(error: unknown): void {
    const { seat } = this.ticket;
    const fate = this.hasBegun && !this.ended ? fateOf(error) : null;
    if (fate !== null && !seat.engine.simulated) seat.report(fate);
    if (error instanceof ApiError || error instanceof RelayedError) noteError(this.exchange, error);
    void this.end(this.firstTokenMs === null ? outcomeOf(this.exchange, error) : "interrupted");
  }

  private end(outcome: Outcome): void | Promise<void> {
    // The caller left while the ledger writes it down: only then is known what became of the call.
    if (this.ended) return this.settling?.catch(() => {});
    const { rooms, id, record } = this.exchange;
    if (isCounted(outcome)) {
      return this.settle(outcome, null).catch((error) =>
        rooms.log.warn({ request: id, cause: String(error.cause) }, "not counted"),
      );
    }
    this.ended = true;
    record.outcome = outcome;
    rooms.ledger.void(id, outcome);
    this.release();
  }

  private async settle(outcome: Outcome, usage: TokenCounts | null, answer?: StoredAnswer): Promise<void> {
    this.ended = true;
    const { ticket, firstTokenMs } = this;
    const { rooms, id, record } = this.exchange;
    const result = {
      outcome,
      tokensIn: usage?.prompt_tokens ?? 0,
      tokensOut: usage?.completion_tokens ?? 0,
      waitedMs: Math.round(ticket.seat.waitedMs),
      firstTokenMs,
      durationMs: this.sinceStartMs(),
    };
    try {
      await rooms.ledger.settle(id, result, answer);
      ticket.reservation.settle();
      record.outcome = outcome;
      record.units = ticket.units;
      record.tokensIn = result.tokensIn;
      record.tokensOut = result.tokensOut;
    } catch (error) {
      record.outcome = "interrupted"; // as the ledger has it, once it can write again
      throw error;
    } finally {
      this.release();
    }
  }

  private release(): void {
    this.ticket.close();
    this.claim?.free();
  }

  private sinceStartMs(): number {
    return Math.round(performance.now() - this.exchange.startedMs);
  }
}

/** Stands for an answer that was too large to be kept: its key must not run again. */
const NOT_KEPT: StoredAnswer = { status: 0, contentType: "", bytes: new Uint8Array() };

/** How a call ends that failed before its first token. */
function outcomeOf(exchange: Exchange, error: unknown): Outcome {
  if (exchange.request.signal.aborted) return "cancelled_before_first_token";
  const status = error instanceof ApiError ? error.kind.status : error instanceof RelayedError ? error.status : 500;
  if (status === 429 || status === 503) return "refused";
  return status < 500 ? "client_error" : "engine_failed";
}
