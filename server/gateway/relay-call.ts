// The walk that every endpoint with an engine behind it takes: a ticket, the engine's answer, and back to the caller. The
// ticket is closed on every way out.

import { ApiError, type ErrorBody, RelayedError } from "@oxbow/contract";
import type { Model } from "../config.ts";
import type { Engine, EngineAnswer, EventStream, Frame } from "../fleet/fleet.ts";
import { notFound } from "./catalogue.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";
import { sendStream } from "./stream.ts";

export interface RelayCall {
  model: Model;
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
  return (
    exchange.rooms.fleet.serves(model.id) ??
    notFound(model.id, " It is in the catalogue, but no engine here serves it.")
  );
}

/** Sends `call` on and returns the answer, whole or streamed, as the engine gave it. */
export async function relayCall(exchange: Exchange, call: RelayCall): Promise<Response> {
  const { rooms, request } = exchange;
  const { translation } = call;
  const ticket = await rooms.admission.admit(call.model.id, request.signal);
  let streaming = false;
  // Hanging up on the engine has three reasons: the caller is gone, the engine is silent, the reader has stopped.
  const hangUp = new AbortController();
  const onAbort = () => hangUp.abort(request.signal.reason);
  request.signal.addEventListener("abort", onAbort);
  const close = () => {
    request.signal.removeEventListener("abort", onAbort);
    ticket.close();
  };
  try {
    request.signal.throwIfAborted();
    const more: Record<string, string> = ticket.engine.simulated ? { "x-oxbow-simulated": "true" } : {};
    const deadline = silenceDeadline(hangUp, call.stream ? rooms.limits.firstTokenMsMax : rooms.limits.answerMsMax);
    const fields = ticket.engine.simulated ? simulationFields(request.headers) : {};
    const answer = await send(ticket.engine, call, hangUp.signal, fields).finally(deadline.clear);
    if (answer.kind === "whole") {
      const headers = answerHeaders(exchange, { "content-type": "application/json", ...more });
      const bytes = translation ? translation.whole(answer.bytes) : answer.bytes;
      return new Response(bytes as Uint8Array<ArrayBuffer>, { headers });
    }
    const events = translation ? translation.events(answer.events) : answer.events;
    const first = await firstFrame(events, rooms.limits.keepaliveMs);
    streaming = true;
    return sendStream(exchange, first.frame, events, close, more, translation?.error);
  } finally {
    if (!streaming) close();
  }
}

/** What a caller tells the simulator: what to do, and that an SDK is trying again. No other engine gets fields of a caller. */
function simulationFields(headers: Headers): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const name of ["x-simulate", "x-stainless-retry-count"]) {
    const value = headers.get(name);
    if (value !== null) fields[name] = value;
  }
  return fields;
}

async function send(
  engine: Engine,
  call: RelayCall,
  signal: AbortSignal,
  headers: Record<string, string>,
): Promise<EngineAnswer> {
  try {
    return await engine.call(call.path, call.bytes, { signal, headers });
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

/**
 * Waits for the first frame before the status line goes out, so that an engine that fails at once gets its own status;
 * but not so long that the caller gives up: then he gets his headers, and comments until it comes.
 *
 * @returns the promise of the frame, in an object because `await` would otherwise wait for it
 */
async function firstFrame(events: EventStream, waitMs: number): Promise<{ frame: Promise<Frame | null> }> {
  const frame = events.next();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), waitMs);
  });
  const come = await Promise.race([frame, late]).finally(() => clearTimeout(timer));
  if (come?.error) throw come.error;
  return { frame };
}

function silenceDeadline(hangUp: AbortController, msMax: number) {
  const timer = setTimeout(() => {
    hangUp.abort(new ApiError("engine_timeout", `The engine said nothing for ${msMax / 1000} s. Try again.`));
  }, msMax);
  return { clear: () => clearTimeout(timer) };
}
