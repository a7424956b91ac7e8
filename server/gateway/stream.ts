// Passes an engine's events on to the caller as they come, and says so when the rest will not come. The events that make
// the answer complete are held back until the ledger has it. Pulled by the caller: a slow reader slows the engine down,
// and one that has stopped reading is cut off.

import { ApiError, type ErrorBody, engineInterrupted, SSE_HEADERS, SSE_KEEPALIVE, sseEvent } from "@oxbow/contract";
import type { EventStream, Frame } from "../fleet/fleet.ts";
import { errorEventBody } from "./errors.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";
import { shuttingDown } from "./hang-up.ts";
import { KEPT_BYTES_MAX } from "./idempotency.ts";
import type { Beat } from "./pulse.ts";
import type { Settlement } from "./settle.ts";

/** From the engine's form to the endpoint's: of one answer, whole or streamed. */
export interface Translation {
  whole(bytes: Uint8Array): Uint8Array;
  /** What the engine's next events are in the endpoint's form: empty for those that make none of their own. */
  push(bytes: Uint8Array): Uint8Array;
  /** The event that says that the rest of a stream will not come. */
  error(body: ErrorBody): string;
}

/** The events of a call, and what is to become of it. */
export interface Course extends Pick<EventStream, "next"> {
  /** Hangs up on the engine, and on a call that has not ended yet. @param tokenSent whether the caller has got a token */
  cancel(tokenSent: boolean): void;
  /** There once the first frame is; null while the call waits. */
  settlement(): Settlement | null;
}

/** What an answer that is sent as it comes consists of: events, or bytes of which nothing is known. */
interface Wire {
  headers: Record<string, string>;
  /** What may be said while the engine is silent; null: nothing. */
  keepalive: Uint8Array | null;
  /** Whether a failure can be told inside of the answer. Else the answer breaks off. */
  tells: boolean;
  /** Whether a frame holds something of the answer itself. */
  holdsToken(frame: Frame): boolean;
}

const encoder = new TextEncoder();

const EVENTS: Wire = {
  headers: SSE_HEADERS,
  keepalive: encoder.encode(SSE_KEEPALIVE),
  tells: true,
  holdsToken: holdsEvent,
};

/** Bytes of the type `contentType`, as they come. */
export function bytesWire(contentType: string): Wire {
  return { headers: { "content-type": contentType }, keepalive: null, tells: false, holdsToken: () => true };
}

export interface StreamOptions {
  /** How many choices have to finish before the answer is complete. */
  choices: number;
  /** For an endpoint whose events have another form than the engine's. */
  translation?: Translation | undefined;
  /** Absent: events. */
  wire?: Wire;
}

/**
 * @param course what the engine says; cancelled once the stream has ended, however it ended
 * @param more header fields
 */
export function sendStream(
  exchange: Exchange,
  course: Course,
  more: Record<string, string>,
  { choices, translation, wire = EVENTS }: StreamOptions,
): Response {
  const { limits, pulse } = exchange.rooms;
  let waitingForEngine = false;
  let ended = false;
  let started = false;
  /** Whether a token has come, and whether one has been passed on. */
  let tokenSeen = false;
  let tokenSent = false;
  let finished = 0;
  /** From the last finish on. */
  let held: Uint8Array[] | null = null;
  let heldBytes = 0;
  /** What was passed on, when a repeat is to get it again. */
  const passed: Uint8Array[] = [];
  let passedBytes = 0;

  function end(): void {
    if (ended) return;
    ended = true;
    exchange.onEnd();
    pulse.remove(beat);
    exchange.request.signal.removeEventListener("abort", hangUp);
    course.cancel(tokenSent);
  }
  const hangUp = () => end();

  const beat: Beat = {
    lastMs: pulse.now(),
    onTick: (quietMs) => {
      if (!waitingForEngine) {
        // Data waits and nobody fetches it. Breaking the body off closes the connection.
        if (quietMs <= limits.slowReaderMsMax) return;
        controllerOf?.error(new Error("the caller has stopped reading"));
        return end();
      }
      const silentMs = pulse.now() - askedMs;
      // While the call waits for its turn, or for an engine to begin, others watch the time.
      const silentMsMax = started ? limits.chunkGapMsMax : limits.firstTokenMsMax;
      if (course.settlement() !== null && silentMs > silentMsMax) {
        return fail(
          new ApiError("engine_timeout", `The engine said nothing for ${Math.round(silentMs / 1000)} s. Try again.`),
        );
      }
      if (quietMs >= limits.keepaliveMs && wire.keepalive !== null) {
        beat.lastMs = pulse.now();
        controllerOf?.enqueue(wire.keepalive);
      }
    },
    onStop: () => {
      // What is complete is being written down, and ends in a moment.
      if (held === null && controllerOf !== null) fail(shuttingDown());
    },
  };
  let askedMs = pulse.now();
  let controllerOf: ReadableStreamDefaultController<Uint8Array> | null = null;

  /** The status is spent: an error event tells and no `[DONE]` follows, or the answer breaks off. Nothing looks finished. */
  function fail(error: unknown): void {
    if (ended) return;
    course.settlement()?.failed(error);
    if (wire.tells) finish(encoder.encode((translation?.error ?? sseEvent)(errorEventBody(exchange, error))));
    else controllerOf!.error(error);
    end();
  }

  function finish(bytes: Uint8Array): void {
    if (bytes.length > 0) controllerOf!.enqueue(bytes);
    controllerOf!.close();
    end();
  }

  // Promise callbacks instead of `await`, and as few as possible: this runs for every token of every stream.
  function pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    controllerOf = controller;
    return fetchNext();
  }

  function fetchNext(): Promise<void> {
    waitingForEngine = true;
    askedMs = pulse.now();
    return course.next().then(deliver, fail);
  }

  function deliver(frame: Frame | null): void | Promise<void> {
    if (ended) return;
    if (frame !== null) exchange.copy?.push(frame.bytes);
    if (frame === null) return fail(engineInterrupted());
    waitingForEngine = false;
    started = true;
    beat.lastMs = pulse.now();
    const bytes = translation ? translation.push(frame.bytes) : frame.bytes;
    if (frame.error) {
      course.settlement()!.failed(frame.error);
      return finish(bytes);
    }
    if (!tokenSeen && wire.holdsToken(frame)) {
      tokenSeen = true;
      course.settlement()!.firstToken();
    }
    finished += frame.finishes;
    if (held !== null || finished >= choices || frame.last) return hold(frame, bytes);
    if (bytes.length === 0) return fetchNext();
    controllerOf!.enqueue(bytes);
    tokenSent = tokenSeen;
    if (course.settlement()!.keeps) keep(bytes);
  }

  function keep(bytes: Uint8Array): void {
    passedBytes += bytes.length;
    if (passedBytes <= KEPT_BYTES_MAX) passed.push(bytes);
    else passed.length = 0;
  }

  /** Keeps what makes the answer complete until all of it is there, and the ledger has it. */
  function hold(frame: Frame, bytes: Uint8Array): void | Promise<void> {
    held ??= [];
    held.push(bytes);
    heldBytes += bytes.length;
    if (heldBytes > KEPT_BYTES_MAX) return fail(new ApiError("engine_failed", "The engine did not end its answer."));
    if (!frame.last) return fetchNext();
    const all = joined(held);
    return course
      .settlement()!
      .complete(frame.usage, kept(all))
      .then(() => ended || finish(all), fail) as Promise<void>;
  }

  function kept(last: Uint8Array) {
    if (passedBytes + last.length > KEPT_BYTES_MAX || !course.settlement()!.keeps) return null;
    return { status: 200, contentType: wire.headers["content-type"]!, bytes: joined([...passed, last]) };
  }

  pulse.add(beat);
  exchange.request.signal.addEventListener("abort", hangUp);
  if (exchange.request.signal.aborted) hangUp(); // while the answer began: nobody will tell a second time
  const body = new ReadableStream<Uint8Array>({ pull, cancel: hangUp }, { highWaterMark: 0 });
  return new Response(body, { headers: answerHeaders(exchange, { ...wire.headers, ...more }) });
}

function joined(parts: Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
}

/** Engines may open a stream with the role alone, before there is a token. */
function holdsEvent({ bytes, finishes }: Frame): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  const events = text.match(/^data: /gm)?.length ?? 0;
  if (events === 0) return false;
  return events > 1 || finishes > 0 || !ROLE_ALONE.test(text);
}

const ROLE_ALONE = /"delta":\{"role":"assistant"(,"content":(""|null))?(,"refusal":null)?\}/;
