// The walk that every endpoint with an engine behind it takes: a ticket, the engine's answer, the ledger, and back to the
// caller. From the ticket on, the settlement ends the call on every way out.

import { ApiError } from "@oxbow/contract";
import type { Model } from "../config.ts";
import type { EngineAnswer, EventStream, Served } from "../fleet/fleet.ts";
import { LedgerUnavailable, type StoredAnswer } from "../ledger/ledger.ts";
import type { Finished, RelayCall } from "./call.ts";
import { notFound } from "./catalogue.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";
import { HangUp } from "./hang-up.ts";
import { claimKey, isClaim, keptOf, replay } from "./idempotency.ts";
import { type Opened, open } from "./open.ts";
import { conclude } from "./record.ts";
import { bytesWire, type Course, sendStream } from "./stream.ts";

/**
 * What serves `model` here for this caller, whether or not it is free: of a model that is split, the caller's side.
 * @param body may hold what a side goes by; null: the call names its model in another form, and is not split
 * @throws ApiError `model_not_found`
 */
export function engineOf(exchange: Exchange, model: Model, body: Record<string, unknown> | null = null): Served {
  const { fleet, traffic, catalogue } = exchange.rooms;
  const accountId = exchange.caller?.accountId;
  const hint = " It is in the catalogue, but no engine here serves it.";
  exchange.record.model = model.id;
  const side = body && traffic.sideOf(model.id, accountId ?? "", body);
  const served = side && fleet.serves(side.model, accountId);
  // A side that nobody serves takes none of its callers along.
  if (side === null || served === null) return fleet.serves(model.id, accountId) ?? notFound(model.id, hint);
  exchange.record.side = side.name;
  exchange.within = side.within;
  if (side.model !== model.id) {
    exchange.served = catalogue.find(side.model) ?? null;
    exchange.record.servedModel = side.model;
  }
  return served;
}

/**
 * Sends `call` on and returns the answer, whole or streamed, as the engine gave it; or the stored one, when the call has
 * been answered before under its `Idempotency-Key`.
 */
export async function relayCall(exchange: Exchange, call: RelayCall): Promise<Response> {
  const { ledger } = exchange.rooms;
  const more: Record<string, string> = call.engine.simulated ? { "x-oxbow-simulated": "true" } : {};
  const asked = claimKey(exchange, call.received);
  const found = asked && (await asked);
  if (found !== null && !isClaim(found)) {
    exchange.record.outcome = "replayed";
    return replay(exchange, found, more);
  }
  if (!ledger.healthy()) {
    found?.free();
    throw new LedgerUnavailable("it said so before");
  }
  const hangUp = new HangUp(exchange.request.signal);
  const opening = open(exchange, call, hangUp, found, more);
  return call.stream
    ? answerStream(exchange, call, hangUp, opening, more)
    : answerWhole(exchange, call, hangUp, opening, more);
}

async function answerWhole(
  exchange: Exchange,
  call: RelayCall,
  hangUp: HangUp,
  opening: Promise<Opened>,
  more: Record<string, string>,
): Promise<Response> {
  let opened: Opened;
  try {
    opened = await opening;
  } finally {
    hangUp.clear();
    exchange.hold?.release();
  }
  const { answer, settlement, units } = opened;
  if (answer.kind !== "whole") return sendOpened(exchange, call, hangUp, opening, opened, more);
  let finished: Finished;
  let kept: StoredAnswer | null = null;
  try {
    finished = call.finish ? await call.finish(answer.bytes, exchange.request.signal) : translated(call, answer);
    if (settlement.keeps) kept = await keptOf(finished.contentType, finished.bytes);
  } catch (error) {
    settlement.failed(error);
    throw error;
  }
  const { bytes, contentType } = finished;
  await settlement.complete(answer.usage, kept);
  if (settlement.keeps && kept === null) more["x-oxbow-answer-kept"] = "false";
  more["x-oxbow-counted"] = String(units);
  const headers = answerHeaders(exchange, { "content-type": contentType, ...finished.headers, ...more });
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers });
}

/** A whole answer in the endpoint's form. */
function translated({ translation }: RelayCall, { bytes, contentType }: EngineAnswer & { kind: "whole" }): Finished {
  return { bytes: translation?.whole(bytes) ?? bytes, contentType };
}

/**
 * The beginning of the answer is taken before the status line goes out, so that an engine that fails at once gets its own
 * status; but not for so long that the caller gives up: then he gets his headers, and comments until it comes.
 */
async function answerStream(
  exchange: Exchange,
  call: RelayCall,
  hangUp: HangUp,
  opening: Promise<Opened>,
  more: Record<string, string>,
): Promise<Response> {
  // Once there is an answer, or none will come, nobody needs the body any more.
  const release = () => exchange.hold?.release();
  opening.then(release, release);
  const opened = await inTime(opening, exchange.rooms.limits.keepaliveMs);
  // An engine that answers a stream with a whole document has made an error, or an answer.
  if (opened?.answer.kind === "whole") return answerWhole(exchange, call, hangUp, opening, more);
  return sendOpened(exchange, call, hangUp, opening, opened, more);
}

/** @param opened null: it has not begun yet */
function sendOpened(
  exchange: Exchange,
  { model, choices, translation }: RelayCall,
  hangUp: HangUp,
  opening: Promise<Opened>,
  opened: Opened | null,
  more: Record<string, string>,
): Response {
  more["x-oxbow-units"] = String(model.weight);
  exchange.record.stream = true;
  const course = courseOf(exchange, opening, opened, hangUp);
  const wire = opened?.answer.kind === "bytes" ? { wire: bytesWire(opened.answer.contentType) } : {};
  return sendStream(exchange, course, more, { choices, translation, ...wire });
}

/**
 * The events of an answer that has begun, or is still to begin. Made here and not in `relayCall`: a function made there keeps
 * all that is there, the caller's prompt too, and this one lives as long as the stream.
 */
function courseOf(exchange: Exchange, opening: Promise<Opened>, opened: Opened | null, hangUp: HangUp): Course {
  let begun = opened;
  let events: EventStream | null = null;
  const begin = (now: Opened) => {
    begun = now;
    // An engine that answers a stream with a whole document: `open` has read it, and nothing of it is an event.
    // Nor is a stream of events what comes as bytes of another kind, once the caller was promised events.
    if (now.answer.kind === "whole" || (now.answer.kind === "bytes" && opened === null))
      throw new ApiError("engine_failed", "The engine did not stream. Try again.");
    events = now.answer.events;
    return now.first;
  };
  return {
    settlement: () => begun?.settlement ?? null,
    next: () => events?.next() ?? (begun ? Promise.resolve(begin(begun)) : opening.then(begin)),
    cancel: (tokenSent) => {
      hangUp.clear();
      if (begun === null) hangUp.end();
      opening
        .then(
          ({ answer, settlement }) => {
            if (answer.kind !== "whole") answer.events.cancel();
            return settlement.cancelled(tokenSent);
          },
          () => {}, // it settled with its ticket itself
        )
        .then(() => conclude(exchange, 200));
    },
  };
}

/** What `pending` comes to, or null when it is not there after `ms`. */
function inTime<T>(pending: Promise<T>, ms: number): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), ms);
    pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
