// What goes with a call beside path and body.

export interface SendOptions {
  signal: AbortSignal;
  /** Added to, or instead of, what is always sent. Lower case. */
  headers?: Record<string, string>;
  /** Of `body`. Without it: JSON. */
  contentType?: string | undefined;
  /** Our id of the model: the body says what the engine calls it, and the answer says our id again. */
  model?: string;
  /** Id of the caller's class in data/queue.yaml. Sent, in the engine's own way, when it is known to understand. */
  priority?: string | undefined;
  /** An opaque name of the account. */
  tenant?: string | undefined;
}
