// What all endpoints of the worker share: errors as the envelope, and answers as a stream of events.

import { ApiError, errorBody, inBandError, retryHeaders, SSE_DONE, SSE_HEADERS } from "@oxbow/contract";

/** Anything thrown, as what the client sees. What is not for clients goes to `log`. */
export function errorOf(thrown: unknown, log: (line: string) => void): ApiError {
  if (thrown instanceof ApiError) {
    if (thrown.cause !== undefined) log(`${thrown.row}: ${String(thrown.cause)}`);
    return thrown;
  }
  log(`unexpected: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
  return new ApiError("internal_error", "The worker failed while it processed your request. Please try again.");
}

export function errorResponse(error: ApiError): Response {
  return Response.json(errorBody(error), { status: error.kind.status, headers: retryHeaders(error) });
}

/** Bytes that may wait for a slow reader. A whole answer of most models fits, so only a stuck reader gets here. */
const UNREAD_BYTES_MAX = 16 << 20;

/**
 * An event stream. `produce` has sent its events when it resolves; when it rejects, the stream ends with an error event in
 * place of `[DONE]`. The signal it gets fires when the reader has gone.
 */
export function streamResponse(
  request: Request,
  log: (line: string) => void,
  produce: (send: (events: string) => void, signal: AbortSignal) => Promise<void>,
): Response {
  const gone = new AbortController();
  const signal = AbortSignal.any([request.signal, gone.signal]);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (events: string) => {
          if (signal.aborted) return;
          controller.enqueue(encoder.encode(events));
          if ((controller.desiredSize ?? 0) < -UNREAD_BYTES_MAX)
            gone.abort(new Error("the reader fell too far behind"));
        };
        const close = () => {
          // Throws when the reader has gone already, and then there is nothing to close.
          if (!signal.aborted) controller.close();
        };
        produce(send, signal).then(
          () => {
            send(SSE_DONE);
            close();
          },
          (thrown) => {
            if (signal.aborted) return controller.error(thrown);
            send(inBandError(errorBody(errorOf(thrown, log))));
            close();
          },
        );
      },
      cancel: (reason) => gone.abort(reason),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
  );
  return new Response(body, { headers: SSE_HEADERS });
}
