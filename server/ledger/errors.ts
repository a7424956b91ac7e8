// The one error of the ledger that a caller can see.

import { ApiError } from "@oxbow/contract";

const RETRY_AFTER_MS = 5_000;

/** Nothing was counted: the request's end must not be sent. */
export class LedgerUnavailable extends ApiError {
  constructor(cause: unknown) {
    const text = "The server cannot record requests at the moment, so it finishes none. Try again in a few seconds.";
    super("ledger_unavailable", text, { cause, retryAfterMs: RETRY_AFTER_MS });
  }
}
