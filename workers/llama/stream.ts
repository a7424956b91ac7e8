// Answers as a stream of events: when it begins, what ends it, and how far a reader may fall behind.

import {
  errorBody,
  inBandError,
  SSE_DONE,
  SSE_HEADERS,
  SSE_KEEPALIVE,
  type TokenCounts,
  USAGE_FIELD,
  usageComment,
} from "@oxbow/contract";
import { errorOf } from "@oxbow/worker";

/** Bytes that may wait for a slow reader. A whole answer of most models fits, so only a stuck reader gets here. */
const UNREAD_BYTES_MAX = 16 << 20;

/**
 * How long an answer waits for its first event. What fails by then gets a status of its own; what takes longer, a long
 * prompt say, sends its headers and a comment first, so that whoever waits knows that it is being worked on.
 */
const FIRST_EVENT_MS = 1000;

/**
 * An event stream. `produce` has sent its events when it resolves with what they cost; when it rejects, the stream ends
 * with an error event in place of `[DONE]`. The signal it gets fires when the reader has gone.
 *
 * @throws what `produce` throws before its first event
 */
export async function streamResponse(
  request: Request,
  log: (line: string) => void,
  produce: (send: (events: string) => void, signal: AbortSignal) => Promise<TokenCounts>,
  firstEventMs = FIRST_EVENT_MS,
): Promise<Response> {
  const wantsUsage = request.headers.has(USAGE_FIELD);
  const gone = new AbortController();
  const signal = AbortSignal.any([request.signal, gone.signal]);
  const encoder = new TextEncoder();
  const first = Promise.withResolvers<void>();
  let stream!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        stream = controller;
      },
      cancel: (reason) => gone.abort(reason),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
  );
  let begun = false;
  const begin = () => {
    begun = true;
    first.resolve();
  };
  const send = (events: string) => {
    if (signal.aborted || events === "") return;
    begin();
    stream.enqueue(encoder.encode(events));
    if ((stream.desiredSize ?? 0) < -UNREAD_BYTES_MAX) gone.abort(new Error("the reader fell too far behind"));
  };
  const slow = setTimeout(() => send(SSE_KEEPALIVE), firstEventMs);
  void first.promise.then(
    () => clearTimeout(slow),
    () => clearTimeout(slow),
  );

  produce(send, signal)
    .then((counts) => send(SSE_DONE + (wantsUsage ? usageComment(counts) : "")))
    .catch((thrown: unknown) => {
      if (!begun) return first.reject(thrown);
      send(inBandError(errorBody(errorOf(thrown, log))));
    })
    .finally(() => {
      // A reader that has gone has closed the stream, and one that fell behind is cut off.
      if (gone.signal.aborted) stream.error(gone.signal.reason);
      else if (!request.signal.aborted) stream.close();
    })
    .catch((error: unknown) => log(`a stream could not be closed: ${String(error)}`));
  await first.promise;
  return new Response(body, { headers: wantsUsage ? { ...SSE_HEADERS, [USAGE_FIELD]: "1" } : SSE_HEADERS });
}
