// How a call is cut off from the engine that works on it: because its caller is gone, because its time is over, because another
// engine would do better, or because we say so. A call has one signal, and another one only for another attempt: what makes
// and listens to signals is dear.

import { ApiError } from "@oxbow/contract";

/** What the caller hears when the server has been told to stop, and his call lasts longer than it may take. */
export function shuttingDown(): ApiError {
  return new ApiError("shutting_down", "The server is shutting down. Try again in a few seconds.", {
    retryAfterMs: SHUTTING_DOWN_RETRY_MS,
  });
}

const SHUTTING_DOWN_RETRY_MS = 2_000;

export class HangUp {
  /** The call is over, and not the attempt alone. */
  ended = false;
  private readonly caller: AbortSignal;
  private attempt = new AbortController();

  /** @param caller ends the call when he is gone */
  constructor(caller: AbortSignal) {
    this.caller = caller;
    caller.addEventListener("abort", this);
    if (caller.aborted) this.handleEvent();
  }

  /** Of what is being done for the call: it waits in line, or is with an engine. */
  get signal(): AbortSignal {
    return this.attempt.signal;
  }

  /** The caller is gone. Called by his signal. */
  handleEvent(): void {
    this.end(this.caller.reason);
  }

  /** Ends the call. */
  end(reason?: unknown): void {
    this.ended = true;
    this.attempt.abort(reason);
  }

  /** Gives up the engine that was asked: the call may go to another one, after `renew`. */
  giveUp(reason: unknown): void {
    this.attempt.abort(reason);
  }

  /** For another attempt. */
  renew(): void {
    if (!this.ended && this.attempt.signal.aborted) this.attempt = new AbortController();
  }

  /** Forgets the caller. */
  clear(): void {
    this.caller.removeEventListener("abort", this);
  }
}
