// The one place where an error becomes an answer: envelope, status, and the fields that make clients wait or stop.

import { ApiError, type ErrorBody, errorBody, RelayedError, retryHeaders } from "@oxbow/contract";
import { type Exchange, sendJson } from "./exchange.ts";

/** An answer for whatever was thrown. What is not meant for the caller is logged and becomes `internal_error`. */
export function sendError(exchange: Exchange, error: unknown): Response {
  if (error instanceof RelayedError) return sendJson(exchange, error.body, error.status, error.headers);
  const known = asApiError(exchange, error);
  return sendJson(exchange, errorBody(known), known.kind.status, retryHeaders(known));
}

/** The same as the body of an event, for an answer that has begun. */
export function errorEventBody(exchange: Exchange, error: unknown): ErrorBody {
  if (error instanceof RelayedError) return error.body;
  return errorBody(asApiError(exchange, error));
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
