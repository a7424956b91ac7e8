// The walk that every endpoint with an engine behind it takes: a ticket, the engine's answer, and back to the caller. The
// ticket is closed on every way out.

import { ApiError, type ErrorBody, RelayedError } from "@oxbow/contract";
import type { Model } from "../config.ts";
import { type Engine, type EngineAnswer, EngineUnreachable, type EventStream, type Frame } from "../fleet/fleet.ts";
import { notFound } from "./catalogue.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";
import { sendStream } from "./stream.ts";

export interface RelayCall {
  model: Model;
  /** The engine that serves it. */
  engine: Engine;
  /** Path at the engine: `/v1/chat/completions`. */
  path: string;
  /** The caller's bytes, or what had to be changed in them. */
  bytes: Uint8Array;
  /** Whether a stream was asked for: else nothing comes before everything is there. */
  stream: boolean;
  /** For an endpoint whose answers have another form than the engine's. Without it the engine's bytes pass as they are. */
  translation?: Translation;
}

/** From the engine's form to the endpoint's: of one answer, whole or streamed. */
export interface Translation {
  whole(bytes: Uint8Array): Uint8Array;
  events(events: EventStream): EventStream;
  /** The event that says that the rest of a stream will not come. */
  error(body: ErrorBody): string;
}

/**
 * The engine that serves `model` here, whether or not it is free.
 * @throws ApiError `model_not_found`
 */
export function engineOf(exchange: Exchange, model: Model): Engine {
  const hint = " It is in the catalogue, but no engine here serves it.";
  return exchange.rooms.fleet.serves(model.id) ?? notFound(model.id, hint);
}

/** Sends `call` on and returns the answer, whole or streamed, as the engine gave it or as the call translates it. */
export async function relayCall(exchange: Exchange, call: RelayCall): Promise<Response> {
  const { limits } = exchange.rooms;
  const { translation } = call;
  const hangUp = createHangUp(exchange.request.signal);
  const opening = open(exchange, call, hangUp);
  // Taken before the status line goes out, so that an engine that fails at once gets its own status; but not for so long
  // that the caller gives up: then he gets his headers, and comments until it comes.
  const opened = call.stream ? await inTime(opening, limits.keepaliveMs) : await opening.finally(hangUp.clear);
  const more: Record<string, string> = call.engine.simulated ? { "x-oxbow-simulated": "true" } : {};
  if (opened?.answer.kind !== "whole") {
    const events = eventsOf(opening, opened, hangUp);
    return sendStream(exchange, translation?.events(events) ?? events, more, translation?.error);
  }
  opened.close();
  const bytes = translation?.whole(opened.answer.bytes) ?? opened.answer.bytes;
  const headers = answerHeaders(exchange, { "content-type": "application/json", ...more });
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers });
}

/** An answer that has begun, and the slot it holds. */
interface Opened {
  answer: EngineAnswer;
  /** Of a stream. */
  first: Frame | null;
  close: () => void;
}

/**
 * Waits for a ticket and for the beginning of the answer. An engine that turns out to be gone has seen nothing of the call:
 * it goes back into the line, once, and by then the fleet knows.
 */
async function open(exchange: Exchange, call: RelayCall, hangUp: HangUp): Promise<Opened> {
  try {
    return await begin(exchange, call, hangUp);
  } catch (error) {
    if (!(error instanceof EngineUnreachable) || hangUp.signal.aborted) throw asApiError(error, hangUp.signal);
    await Bun.sleep(GONE_PAUSE_MS);
    return begin(exchange, call, hangUp).catch((again) => {
      throw asApiError(again, hangUp.signal);
    });
  }
}

/** A process's end is noticed a moment after its socket has closed. */
const GONE_PAUSE_MS = 50;

async function begin(exchange: Exchange, call: RelayCall, hangUp: HangUp): Promise<Opened> {
  const { rooms, request } = exchange;
  const ticket = await rooms.admission.admit(call.model.id, hangUp.signal);
  try {
    // A stream is watched while it is sent; a whole answer has one deadline, and the time in line is not part of it.
    if (!call.stream) hangUp.after(rooms.limits.answerMsMax);
    const headers = ticket.engine.simulated ? simulationFields(request.headers) : {};
    const answer = await ticket.engine.call(call.path, call.bytes, { signal: hangUp.signal, headers });
    const first = answer.kind === "stream" ? await answer.events.next() : null;
    if (first?.error) throw first.error;
    return { answer, first, close: ticket.close };
  } catch (error) {
    ticket.close();
    throw error;
  }
}

function asApiError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof ApiError || error instanceof RelayedError) return error;
  if (signal.aborted) return signal.reason;
  const retryAfterMs = UNREACHABLE_RETRY_MS;
  return new ApiError("engine_failed", "The engine could not be reached. Try again.", { cause: error, retryAfterMs });
}

/** A worker is back after about this long. */
const UNREACHABLE_RETRY_MS = 1_000;

/** What a caller tells the simulator: what to do, and that an SDK is trying again. No other engine gets fields of a caller. */
function simulationFields(headers: Headers): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const name of ["x-simulate", "x-stainless-retry-count"]) {
    const value = headers.get(name);
    if (value !== null) fields[name] = value;
  }
  return fields;
}

/** The events of an answer that has begun, or is still to begin. Cancelling also gives the slot back. */
function eventsOf(opening: Promise<Opened>, opened: Opened | null, hangUp: HangUp): EventStream {
  let begun = opened;
  let events: EventStream | null = null;
  const begin = (now: Opened) => {
    begun = now;
    // An engine that answers a stream with a whole document: `open` has read it, and nothing of it is an event.
    if (now.answer.kind === "whole") throw new ApiError("engine_failed", "The engine did not stream. Try again.");
    events = now.answer.events;
    return now.first;
  };
  return {
    next: () => events?.next() ?? (begun ? Promise.resolve(begin(begun)) : opening.then(begin)),
    cancel: () => {
      hangUp.clear();
      if (begun === null) hangUp.now();
      opening.then(
        ({ answer, close }) => {
          if (answer.kind === "stream") answer.events.cancel();
          close();
        },
        () => {}, // it closed its ticket itself
      );
    },
  };
}

interface HangUp {
  signal: AbortSignal;
  now(): void;
  after(ms: number): void;
  /** Forgets the caller and the deadline. */
  clear(): void;
}

/** Hanging up on the engine: because the caller is gone, because it is silent for too long, or because we say so. */
function createHangUp(caller: AbortSignal): HangUp {
  const controller = new AbortController();
  const onAbort = () => controller.abort(caller.reason);
  caller.addEventListener("abort", onAbort);
  if (caller.aborted) onAbort();
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    signal: controller.signal,
    now: () => controller.abort(),
    after: (ms) => {
      const text = `The engine said nothing for ${ms / 1000} s. Try again.`;
      timer = setTimeout(() => controller.abort(new ApiError("engine_timeout", text)), ms);
    },
    clear: () => {
      clearTimeout(timer);
      caller.removeEventListener("abort", onAbort);
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
