// From a call to the beginning of its answer: the ticket, what is sent, and the engine that has begun to answer.

import { ApiError, engineFailed, USAGE_FIELD } from "@oxbow/contract";
import type { Ticket } from "../admission/admission.ts";
import type { Model } from "../config.ts";
import type { Engine, EngineAnswer, Frame, Outcome } from "../fleet/fleet.ts";
import { CallAsk } from "./ask.ts";
import type { Prepared, RelayCall } from "./call.ts";
import type { Exchange } from "./exchange.ts";
import { withFailover } from "./failover.ts";
import { bytesFor, noteDropped, PRIVATE_FIELDS } from "./forward.ts";
import type { HangUp } from "./hang-up.ts";
import type { Claim } from "./idempotency.ts";
import { CallSettlement, type Settlement } from "./settle.ts";

/** An answer that has begun, and what is to become of its call. */
export interface Opened {
  answer: EngineAnswer;
  /** Of a stream. */
  first: Frame | null;
  units: number;
  settlement: Settlement;
}

/**
 * Waits for a ticket and for the beginning of the answer.
 * @param more fields of the answer: what is known before the line is there before the line, for who waits in it
 */
export async function open(
  exchange: Exchange,
  call: RelayCall,
  hangUp: HangUp,
  claim: Claim | null,
  more: Record<string, string>,
): Promise<Opened> {
  const { rooms, record } = exchange;
  const ask = new CallAsk(exchange, call, more, hangUp.signal);
  let ticket: Ticket<Engine, Outcome>;
  try {
    ticket = await rooms.admission.admit(ask);
  } catch (error) {
    claim?.free();
    throw error;
  }
  const settlement = new CallSettlement(exchange, call, ticket, claim);
  noteDropped(record, call.body, PRIVATE_FIELDS);
  try {
    const sent = sentOf(call, exchange.served ?? call.model, ask.prepared, ticket);
    const { answer, first } = await withFailover(
      {
        seat: ticket.seat,
        budget: rooms.retries,
        hangUp,
        waits: rooms.waits,
        silentMsMax: rooms.limits.firstTokenMsMax,
        // A stream is watched while it is sent; a whole answer has one deadline, and the time in line is not part of it.
        wholeMsMax: call.stream ? null : rooms.limits.answerMsMax,
        signs: rooms.fleet.signs,
        busyMsMax: rooms.limits.busyMsMax,
        shared: call.engine.shared === true,
        now: rooms.waits.now,
        onRetry: () => {
          record.retries++;
        },
      },
      (engine, signal) => begin(exchange, call, sent, ticket.priority, engine, signal),
    );
    settlement.began();
    exchange.copy = copyOf(exchange, call, sent);
    if (answer.kind === "whole") exchange.copy?.push(answer.bytes);
    return { answer, first, units: ticket.units, settlement };
  } catch (error) {
    settlement.failed(error);
    throw error;
  }
}

/** Of calls whose body is JSON, some are looked at a second time. */
function copyOf({ rooms, caller, served }: Exchange, { model, path }: RelayCall, { bytes, contentType }: Sent) {
  if (contentType !== undefined) return null;
  const { accountId } = caller!;
  return rooms.traffic.begun({ model: model.id, served: (served ?? model).id, accountId, path, body: bytes });
}

/** Sends the call to one engine, and resolves when its answer has begun: with what came first, if it comes in pieces. */
async function begin(
  exchange: Exchange,
  call: RelayCall,
  sent: Sent,
  priority: string,
  engine: Engine,
  signal: AbortSignal,
): Promise<Pick<Opened, "answer" | "first">> {
  exchange.record.engine = engine.id;
  exchange.simulated = engine.simulated;
  const own = engine.remote === null;
  if (engine.remote !== null) noteDropped(exchange.record, call.body, engine.remote.privateFields);
  const fields = fieldsFor(engine, exchange, call);
  const answer = await engine.call(call.path, sent.bytes, {
    signal,
    headers: own && sent.headers ? { ...fields, ...sent.headers } : fields,
    model: (exchange.served ?? call.model).id,
    contentType: sent.contentType,
    priority: own ? undefined : priority,
    tenant: own ? undefined : tenantOf(exchange.caller!.accountId),
  });
  if (answer.kind === "whole") return { answer, first: null };
  if (answer.kind === "stream" && !call.stream) {
    answer.events.cancel();
    throw new ApiError("engine_failed", "The engine streamed where a whole answer was asked for.");
  }
  const first = await answer.events.next().catch(neverBegun);
  if (first?.error) throw first.error;
  if (first === null) throw new ApiError("engine_failed", "The engine's answer was empty. Try again.");
  return { answer, first };
}

/** Names an account to servers that are not ours, and tells them nothing of it. */
function tenantOf(accountId: string): string {
  return new Bun.CryptoHasher("sha256").update(accountId).digest("hex").slice(0, 32);
}

/** An engine that breaks off before it has said anything has failed; it is interrupted only once a stream has begun. */
function neverBegun(cause: unknown): never {
  throw engineFailed(cause);
}

/** A body, its type when it is not JSON, and header fields for our own workers. */
interface Sent {
  bytes: Uint8Array;
  contentType: string | undefined;
  headers: Record<string, string> | undefined;
}

/** What is sent: the caller's own length, unless the plan allows less. */
function sentOf(
  call: RelayCall,
  served: Model,
  prepared: Prepared | null,
  { outputTokensMax }: Ticket<Engine, Outcome>,
): Sent {
  const { body, received, contentType, outputTokens, outputField } = call;
  const headers = prepared?.headers;
  if (prepared?.form) return { ...prepared.form, headers };
  if (contentType !== undefined) return { bytes: received, contentType, headers };
  const instead = prepared?.instead ?? null;
  const fits = outputField === null || outputTokensMax === null || outputTokensMax === outputTokens;
  const changed = fits ? instead : { ...instead, [outputField]: outputTokensMax };
  return { bytes: bytesFor(served, body, received, changed), contentType, headers };
}

/**
 * Streams are asked to tell their token counts. The simulator also gets what a caller tells it: what to do, and that an SDK
 * is trying again. No other engine gets fields of a caller; of a request that is traced each gets our own part of the trace.
 */
function fieldsFor(engine: Engine, exchange: Exchange, { stream, model }: RelayCall): Record<string, string> {
  const fields: Record<string, string> = stream ? { [USAGE_FIELD]: "1" } : {};
  const traced = exchange.trace?.part(`engine ${engine.id}`, "client", { "gen_ai.request.model": model.id });
  if (traced !== undefined) fields.traceparent = traced;
  if (!engine.simulated) return fields;
  const { headers } = exchange.request;
  for (const name of ["x-simulate", "x-stainless-retry-count"]) {
    const value = headers.get(name);
    if (value !== null) fields[name] = value;
  }
  return fields;
}
