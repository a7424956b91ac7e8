// Every error a client can see, one row each, and the one shape they all have on the wire.
// Statuses, types and codes follow recorded OpenAI answers where there are any (docs/contract.md names the source of
// each row); rows marked "ours" have no recording. Rendering to HTTP is the gateway's and the workers' own affair.

export interface ErrorKind {
  status: number;
  type: string;
  /** What programs branch on. Null where OpenAI sends null. */
  code: string | null;
  /** Whether the same call can succeed later, unchanged. Decides `x-should-retry` where SDKs would guess wrong. */
  retry: boolean;
}

const invalid = (code: string | null, status = 400): ErrorKind => ({
  status,
  type: "invalid_request_error",
  code,
  retry: false,
});

export const ERRORS = {
  // The body
  invalid_json: invalid(null),
  missing_required_parameter: invalid("missing_required_parameter"),
  empty_array: invalid("empty_array"),
  invalid_type: invalid("invalid_type"),
  invalid_value: invalid("invalid_value"),
  integer_below_min_value: invalid("integer_below_min_value"),
  integer_above_max_value: invalid("integer_above_max_value"),
  decimal_below_min_value: invalid("decimal_below_min_value"),
  decimal_above_max_value: invalid("decimal_above_max_value"),
  string_below_min_length: invalid("string_below_min_length"),
  string_above_max_length: invalid("string_above_max_length"),
  array_above_max_length: invalid("array_above_max_length"),
  object_above_max_properties: invalid("object_above_max_properties"),
  unsupported_parameter: invalid("unsupported_parameter"),
  unsupported_value: invalid("unsupported_value"),
  unknown_parameter: invalid("unknown_parameter"),
  /** Fields that contradict each other, or messages in an order that means nothing: OpenAI sends no code. */
  invalid_combination: invalid(null),
  /** A JSON schema that cannot be enforced. */
  invalid_schema: invalid("invalid_schema"),
  context_length_exceeded: invalid("context_length_exceeded"),

  // Who, and what may be asked for
  missing_api_key: invalid(null, 401),
  invalid_api_key: invalid("invalid_api_key", 401),
  model_not_found: invalid("model_not_found", 404),
  unknown_url: invalid("unknown_url", 404),
  method_not_supported: invalid("method_not_supported", 405),
  request_timeout: { status: 408, type: "invalid_request_error", code: "request_timeout", retry: true },
  body_too_large: { status: 413, type: "server_error", code: null, retry: false },
  unsupported_media_type: invalid("unsupported_media_type", 415),

  // When
  rate_limit_exceeded: { status: 429, type: "requests", code: "rate_limit_exceeded", retry: true },
  insufficient_quota: { status: 429, type: "insufficient_quota", code: "insufficient_quota", retry: false },

  // Us and the engines
  internal_error: { status: 500, type: "server_error", code: "internal_error", retry: true },
  /** The engine answered with something that is not an answer, or not at all. */
  engine_failed: { status: 502, type: "server_error", code: "engine_failed", retry: true },
  /** The engine died or fell silent after the first byte: only ever seen inside a stream. */
  engine_interrupted: { status: 502, type: "server_error", code: "engine_interrupted", retry: true },
  /** The model is being loaded, or its worker is being restarted. */
  model_not_ready: { status: 503, type: "server_error", code: "model_not_ready", retry: true },
  /** The model's file cannot be loaded, however often one asks. */
  model_failed: { status: 503, type: "server_error", code: "model_failed", retry: false },
  /** Refused before the line. */
  queue_full: { status: 503, type: "service_unavailable_error", code: "server_is_overloaded", retry: true },
  /** Dropped from the line. */
  queue_timeout: { status: 503, type: "service_unavailable_error", code: "queue_timeout", retry: true },
  shutting_down: { status: 503, type: "service_unavailable_error", code: "shutting_down", retry: true },
  engine_timeout: { status: 504, type: "server_error", code: "engine_timeout", retry: true },
} as const satisfies Record<string, ErrorKind>;

export type ErrorName = keyof typeof ERRORS;

export interface ErrorOptions {
  /** The field at fault, as the client wrote it: `messages[0].content`. */
  param?: string | undefined;
  /** Milliseconds after which the same call is worth repeating. Sent as headers; SDKs wait that long. */
  retryAfterMs?: number | undefined;
  /** Header fields of this error alone, such as `allow`. */
  headers?: Record<string, string> | undefined;
  /** What really happened. Logged, never sent. */
  cause?: unknown;
}

/** What ends a request. `message` is for the caller: what happened and what to do; no key, prompt or answer in it. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly kind: ErrorKind;
  readonly row: ErrorName;
  readonly param: string | null;
  readonly retryAfterMs: number | undefined;
  readonly headers: Record<string, string>;

  constructor(row: ErrorName, message: string, options: ErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.row = row;
    this.kind = ERRORS[row];
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs;
    this.headers = options.headers ?? {};
  }
}

/**
 * An engine's own refusal, passed on: its status, its words in our envelope, its retry fields. Engines know codes that
 * no row of ours names.
 */
export class RelayedError extends Error {
  override readonly name = "RelayedError";
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Record<string, string>;

  constructor(status: number, body: ErrorBody, headers: Record<string, string> = {}) {
    super(`the engine answered with status ${status}`);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

/** The envelope: always these four keys, `code` a string or null. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

export function errorBody(error: ApiError): ErrorBody {
  return { error: { message: error.message, type: error.kind.type, param: error.param, code: error.kind.code } };
}

/**
 * The header fields that make clients wait as long as they should, and no longer.
 * A short wait (up to 60 s) goes out in milliseconds and in whole seconds, because no single one of them is read by
 * every SDK; what is not worth repeating says so, or SDKs would hammer.
 */
export function retryHeaders(error: ApiError): Record<string, string> {
  const headers: Record<string, string> = { ...error.headers };
  const waitMs = error.retryAfterMs;
  if (waitMs !== undefined && waitMs <= RETRY_AFTER_MS_MAX && error.kind.retry) {
    headers["retry-after-ms"] = String(Math.max(1, Math.ceil(waitMs)));
    headers["retry-after"] = String(Math.max(1, Math.ceil(waitMs / 1000)));
  } else if (!error.kind.retry && (error.kind.status === 429 || error.kind.status >= 500)) {
    headers["x-should-retry"] = "false";
  }
  return headers;
}

/** SDKs ignore longer waits and fall back to quick retries of their own. */
const RETRY_AFTER_MS_MAX = 60_000;
