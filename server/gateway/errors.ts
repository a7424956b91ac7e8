// The one place where an error becomes an answer: envelope, status, and the fields that make clients wait or stop.

import { ApiError, type ErrorBody, errorBody, RelayedError, retryHeaders } from "@oxbow/contract";
import { type Exchange, sendJson } from "./exchange.ts";
import { noteError } from "./record.ts";

/** An answer for whatever was thrown. What is not meant for the caller is logged and becomes `internal_error`. */
export function sendError(exchange: Exchange, error: unknown): Response {
  const known = error instanceof RelayedError ? error : asApiError(exchange, error);
  noteError(exchange, known);
  if (known instanceof RelayedError) return sendJson(exchange, known.body, known.status, known.headers);
  return sendJson(exchange, errorBody(known), known.kind.status, retryHeaders(known));
}

/** The same as the body of an event, for an answer that has begun. */
export function errorEventBody(exchange: Exchange, error: unknown): ErrorBody {
  const known = error instanceof RelayedError ? error : asApiError(exchange, error);
  noteError(exchange, known);
  return known instanceof RelayedError ? known.body : errorBody(known);
}

function asApiError(exchange: Exchange, error: unknown): ApiError {
  const { log } = exchange.rooms;
  const at = { request: exchange.id, method: exchange.request.method, path: exchange.path.slice(0, 200) };
  if (error instanceof ApiError) {
    // The caller's mistakes are his own to see; ours are for the operator too.
    if (error.kind.status >= 500) log.warn({ ...at, code: error.row, cause: causeOf(error) }, error.message);
    return error;
  }
  if (exchange.request.signal.aborted) return new ApiError("request_timeout", "The caller has hung up.");
  log.error({ ...at, error: error instanceof Error ? error.stack : String(error) }, "a request failed unexpectedly");
  return new ApiError(
    "internal_error",
    `The server had an error while processing your request. Its id is ${exchange.id}.`,
  );
}

function causeOf(error: ApiError): string | undefined {
  return error.cause === undefined ? undefined : String(error.cause);
}
