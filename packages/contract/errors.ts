// Every error a client can see, one row each, and the one shape they all have on the wire.
// Statuses, types and codes follow recorded OpenAI answers where there are any (and the published error list otherwise);
// statuses from 500 on and their codes are mostly ours. Rendering to HTTP is the gateway's and the workers' own affair.

export interface ErrorKind {
  status: number;
  type: string;
  /** What programs branch on. Null where OpenAI sends null. */
  code: string | null;
  /** Whether the same call can succeed later, unchanged. Decides `x-should-retry` where SDKs would guess wrong. */
  retry: boolean;
  /** When it happens, for docs/errors.md. */
  about: string;
}

const invalid = (about: string, code: string | null, status = 400): ErrorKind => ({
  status,
  type: "invalid_request_error",
  code,
  retry: false,
  about,
});

const OVERLOADED = "service_unavailable_error";

const ours = (about: string, status: number, code: string, type = "server_error", retry = true): ErrorKind => ({
  status,
  type,
  code,
  retry,
  about,
});

export const ERRORS = {
  // The body
  invalid_json: invalid("The body is empty, not UTF-8, not JSON, not an object, or nested too deep.", null),
  invalid_form: invalid("A form (multipart/form-data) is broken off, has no boundary, or has too many parts.", null),
  missing_required_parameter: invalid("A required field is absent.", "missing_required_parameter"),
  empty_array: invalid("An array that needs an item has none.", "empty_array"),
  invalid_type: invalid("A field is of another JSON type.", "invalid_type"),
  invalid_value: invalid("A field is not one of its values, or does not match its pattern.", "invalid_value"),
  integer_below_min_value: invalid("A whole number is too small.", "integer_below_min_value"),
  integer_above_max_value: invalid("A whole number is too large.", "integer_above_max_value"),
  decimal_below_min_value: invalid("A number is too small.", "decimal_below_min_value"),
  decimal_above_max_value: invalid("A number is too large.", "decimal_above_max_value"),
  string_below_min_length: invalid("A text is too short.", "string_below_min_length"),
  string_above_max_length: invalid("A text is too long.", "string_above_max_length"),
  string_too_long: invalid("A text to be spoken is longer than the API takes.", "string_too_long"),
  array_above_max_length: invalid("An array has too many items.", "array_above_max_length"),
  object_above_max_properties: invalid("An object has too many members.", "object_above_max_properties"),
  unsupported_parameter: invalid("The model or its engine cannot obey this field.", "unsupported_parameter"),
  unsupported_value: invalid("The model or its engine cannot obey this value of the field.", "unsupported_value"),
  invalid_combination: invalid("Fields contradict each other, or messages stand in an order that means nothing.", null),
  invalid_function_parameters: invalid("A tool's parameters are not an object's.", "invalid_function_parameters"),
  invalid_schema: invalid("A JSON schema cannot be enforced.", "invalid_schema"),
  previous_response_not_found: invalid(
    "A response is to go on from an earlier one, and none is stored.",
    "previous_response_not_found",
  ),
  context_length_exceeded: invalid(
    "The prompt is longer than the model's context, or than the plan allows: the message says which.",
    "context_length_exceeded",
  ),
  input_limit_exceeded: invalid(
    "The audio is longer, the images are larger or the text to be spoken is longer than the plan or the server allows.",
    "input_limit_exceeded",
  ),
  output_limit_exceeded: invalid(
    "More answers in one call than the plan has output tokens for: there would not be one token for each.",
    "output_limit_exceeded",
  ),

  // Images, with the codes that OpenAI's list of response errors has
  invalid_image_url: invalid(
    "An image's URL is not one that is fetched: wrong scheme, an address inside, or fetching is switched off.",
    "invalid_image_url",
  ),
  failed_to_download_image: invalid("An image's URL could not be fetched.", "failed_to_download_image"),
  invalid_base64_image: invalid("An image's base64 is none.", "invalid_base64_image"),
  empty_image_file: invalid("An image has no bytes.", "empty_image_file"),
  invalid_image_format: invalid("The bytes are no image of a format that is read.", "invalid_image_format"),
  image_parse_error: invalid("An image is damaged, or cut short.", "image_parse_error"),
  image_too_large: invalid(
    "An image, or all of a call, has more pixels than the server or plan takes.",
    "image_too_large",
  ),
  too_many_images: invalid("A call carries more images than the server takes.", "too_many_images"),
  image_file_too_large: invalid("An image has more bytes than the server takes.", "image_file_too_large"),

  // Who, and what may be asked for
  missing_api_key: invalid("No API key was sent.", null, 401),
  invalid_api_key: invalid("The API key is unknown, revoked or expired.", "invalid_api_key", 401),
  model_not_allowed: invalid("The plan, or the key, does not have this model.", "model_not_allowed", 403),
  insufficient_permissions: invalid("The key is good, but not for this.", "insufficient_permissions", 403),
  model_not_found: invalid("No such model is served here.", "model_not_found", 404),
  object_not_found: invalid("No such stored object: a response, or an item of one.", null, 404),
  unknown_url: invalid("No such path.", "unknown_url", 404),
  method_not_supported: invalid("The path exists, for other methods.", "method_not_supported", 405),
  request_timeout: ours("The body did not arrive in time.", 408, "request_timeout", "invalid_request_error"),
  body_too_large: {
    status: 413,
    type: "server_error",
    code: null,
    retry: false,
    about: "The body is larger than the server takes.",
  },
  unsupported_media_type: invalid(
    "The body is declared to be something else than JSON, or than a form where one is needed.",
    "unsupported_media_type",
    415,
  ),

  // The same call again
  idempotency_key_reuse: invalid(
    "The Idempotency-Key was used with another path or body.",
    "idempotency_key_reuse",
    409,
  ),
  idempotency_in_flight: ours(
    "A call with this Idempotency-Key is running.",
    409,
    "idempotency_in_flight",
    "invalid_request_error",
  ),
  idempotency_answer_not_kept: invalid(
    "The call with this Idempotency-Key was answered and counted, but the answer was too large to be kept.",
    "idempotency_answer_not_kept",
    409,
  ),

  // When
  rate_limit_exceeded: ours(
    "Too many requests for the moment: of this minute, at the same time, or with bodies too large together; or less than a minute before the day ends.",
    429,
    "rate_limit_exceeded",
    "requests",
  ),
  insufficient_quota: ours("The day's requests are used up.", 429, "insufficient_quota", "insufficient_quota", false),

  // Us and the engines
  internal_error: ours("A fault of ours.", 500, "internal_error"),
  engine_failed: ours("The engine answered with something that is no answer, or not at all.", 502, "engine_failed"),
  engine_interrupted: ours(
    "The engine broke off after the first byte: only ever inside a stream.",
    502,
    "engine_interrupted",
  ),
  model_not_ready: ours("The model is being loaded, or its worker is being started again.", 503, "model_not_ready"),
  model_failed: ours("The model's file cannot be loaded.", 503, "model_failed", "server_error", false),
  queue_full: ours("Too many calls wait already.", 503, "server_is_overloaded", OVERLOADED),
  queue_timeout: ours("No engine was free in time.", 503, "queue_timeout", OVERLOADED),
  bodies_full: ours(
    "The bodies of all calls together take as much memory as there is for them.",
    503,
    "server_is_overloaded",
    OVERLOADED,
  ),
  ledger_unavailable: ours(
    "The ledger cannot write (its disk is full, for one): nothing is accepted, or finished, that could not be counted.",
    503,
    "ledger_unavailable",
  ),
  shutting_down: ours("The server has been told to stop.", 503, "shutting_down", OVERLOADED),
  engine_timeout: ours("The engine fell silent.", 504, "engine_timeout"),
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
  } else if (!error.kind.retry && (RETRIED.has(error.kind.status) || error.kind.status >= 500)) {
    headers["x-should-retry"] = "false";
  }
  return headers;
}

/** Statuses below 500 that SDKs repeat by themselves. */
const RETRIED: ReadonlySet<number> = new Set([408, 409, 429]);

/** SDKs ignore longer waits and fall back to quick retries of their own. */
const RETRY_AFTER_MS_MAX = 60_000;
