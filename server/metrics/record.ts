// What is known of one request when it has ended: what metrics count, and what its line in the log says. It holds names and
// numbers alone: never a key, a prompt or an answer.

import type { Outcome } from "@oxbow/contract";

export interface RequestRecord {
  /** `req_…` */
  id: string;
  method: string;
  /** The path as the gateway's table has it, `/v1/models/*`; "other": none of them. */
  endpoint: string;
  /** Ids; null while nobody knows who asks. */
  accountId: string | null;
  keyId: string | null;
  /** `id@version`, or "". */
  plan: string;
  /** Id of the model that was asked for, never an alias; "": none that we know. */
  model: string;
  /** Id of the model that answered, where it is another one; else "". */
  servedModel: string;
  /** The side of a split that it was on; "": the model is not split. */
  side: string;
  /** The class that it waited in; "": it was not let in. */
  priority: string;
  /** Id of the engine; "": none. */
  engine: string;
  stream: boolean;
  status: number;
  /** Row of the error table; "": no error. What an engine said and no row names is "engine_error". */
  code: string;
  /** "": it was never let in; "replayed": answered from the ledger. */
  outcome: Outcome | "replayed" | "";
  /** What it counted. */
  units: number;
  /** In line; null: it was not let in. */
  waitedMs: number | null;
  /** From its arrival to the first token of a stream; null: there was none. */
  firstTokenMs: number | null;
  durationMs: number;
  tokensIn: number;
  tokensOut: number;
  /** How often another engine was tried. */
  retries: number;
  /** The SDK says that it has asked before. */
  clientRetry: boolean;
  /** Fields of the body that were not sent on: names out of our own tables, each once. */
  dropped: readonly string[];
}
