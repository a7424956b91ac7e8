// What was said to an engine, for whoever reads its answer.

import type { Json } from "./json.ts";

/** A call as it goes out, and what its answer must be read by. */
export interface Said {
  path: string;
  body: Uint8Array;
  headers: Record<string, string>;
  /** Our id of the model and its server's name of it; null where the caller of the engine did not say. */
  model: string | null;
  name: string | null;
  /** The call, parsed; null when it is no JSON. */
  asked: Json | null;
  stream: boolean;
  /** Whether the caller wants the token counts of a stream; we always do. */
  wantsUsage: boolean;
}
