// Passes an engine's events on to the caller as they come, and says so when the rest will not come. Pulled by the caller:
// a slow reader slows the engine down, and one that has stopped reading is cut off.

import { ApiError, type ErrorBody, SSE_HEADERS, SSE_KEEPALIVE, sseEvent } from "@oxbow/contract";
import type { EventStream, Frame } from "../fleet/fleet.ts";
import { errorEventBody } from "./errors.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";
import type { Beat } from "./pulse.ts";

const encoder = new TextEncoder();
const KEEPALIVE = encoder.encode(SSE_KEEPALIVE);

/**
 * @param events what the engine says; cancelled once the stream has ended, however it ended
 * @param errorEvent how this endpoint says in the stream that the rest will not come
 */
export function sendStream(
  exchange: Exchange,
  events: EventStream,
  more: Record<string, string>,
  errorEvent: (body: ErrorBody) => string = sseEvent,
): Response {
  const { limits, pulse } = exchange.rooms;
  let waitingForEngine = false;
  let ended = false;
  let started = false;

  function end(): void {
    if (ended) return;
    ended = true;
    pulse.remove(beat);
    exchange.request.signal.removeEventListener("abort", hangUp);
    events.cancel();
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
      if (silentMs > (started ? limits.chunkGapMsMax : limits.firstTokenMsMax)) {
        return fail(
          new ApiError("engine_timeout", `The engine said nothing for ${Math.round(silentMs / 1000)} s. Try again.`),
        );
      }
      if (quietMs >= limits.keepaliveMs) {
        beat.lastMs = pulse.now();
        controllerOf?.enqueue(KEEPALIVE);
      }
    },
  };
  let askedMs = pulse.now();
  let controllerOf: ReadableStreamDefaultController<Uint8Array> | null = null;

  /** The status is spent: an error event tells, and no `[DONE]` follows, so that nothing looks finished. */
  function fail(error: unknown): void {
    if (ended) return;
    controllerOf?.enqueue(encoder.encode(errorEvent(errorEventBody(exchange, error))));
    controllerOf?.close();
    end();
  }

  // Promise callbacks instead of `await`, and as few as possible: this runs for every token of every stream.
  function pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    controllerOf = controller;
    waitingForEngine = true;
    askedMs = pulse.now();
    return events.next().then(deliver, fail);
  }

  function deliver(frame: Frame | null): void {
    if (ended) return;
    waitingForEngine = false;
    started = true;
    beat.lastMs = pulse.now();
    if (frame) controllerOf!.enqueue(frame.bytes);
    if (frame === null || frame.last) {
      controllerOf!.close();
      end();
    }
  }

  exchange.request.signal.addEventListener("abort", hangUp);
  pulse.add(beat);
  const body = new ReadableStream<Uint8Array>({ pull, cancel: hangUp }, { highWaterMark: 0 });
  return new Response(body, { headers: answerHeaders(exchange, { ...SSE_HEADERS, ...more }) });
}
