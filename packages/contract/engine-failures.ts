// What callers hear of an engine that fails, in one wording for each way. Why it failed is in the cause, for the log alone.

import { ApiError } from "./errors.ts";

/** It gave no answer. */
export function engineFailed(cause?: unknown): ApiError {
  return new ApiError("engine_failed", "The engine failed to answer. Try again.", { cause });
}

/** It gave one that is none. */
export function answerNotUnderstood(cause?: unknown): ApiError {
  return new ApiError("engine_failed", "The engine's answer could not be understood. Try again.", { cause });
}

const BROKEN_OFF = "The engine stopped in the middle of its answer. Try again.";

/** A whole answer that was cut short: nothing of it is out. */
export function answerCutShort(cause?: unknown): ApiError {
  return new ApiError("engine_failed", BROKEN_OFF, { cause });
}

/** A stream that broke off: its beginning is out. */
export function engineInterrupted(cause?: unknown): ApiError {
  return new ApiError("engine_interrupted", BROKEN_OFF, { cause });
}
