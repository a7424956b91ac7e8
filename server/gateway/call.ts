// What an endpoint makes of a caller's request: the call that is relayed, the same for every kind of model.

import type { Measure } from "../admission/admission.ts";
import type { Model } from "../config.ts";
import type { Served } from "../fleet/fleet.ts";
import type { Translation } from "./stream.ts";

export interface RelayCall {
  model: Model;
  /** What serves it. */
  engine: Served;
  /** Path at the engine: `/v1/chat/completions`. */
  path: string;
  /** The body as it came; a form as `writeForm` wrote it. */
  received: Uint8Array;
  /** Of `received`, when it is not JSON. Such a body names the model by its id, and holds nothing that is not to be sent. */
  contentType?: string;
  body: Record<string, unknown>;
  /**
   * What has to be done before the call stands in line, and may take its time. Not done for a stored answer, nor for a
   * caller who is beyond his caps.
   */
  prepare?: ((signal: AbortSignal) => Promise<Prepared>) | undefined;
  /** Whether a stream was asked for: else nothing comes before everything is there. */
  stream: boolean;
  /** How many choices make the answer. */
  choices: number;
  /** Answers that the engine makes: with `best_of` more than `choices`. */
  generations: number;
  /** Tokens of the prompt, or a number that is not below them. */
  inputTokens: number;
  /** Tokens of a choice that were asked for; null: as many as there are. */
  outputTokens: number | null;
  /** The field that holds the prompt. */
  inputField: string;
  /** The field that limits the answer; null: it is not made of tokens. */
  outputField: string | null;
  /** What the plan may limit besides tokens, as far as the body says it. */
  measures?: readonly Measure[];
  /** For an endpoint whose answers have another form than the engine's. Without it the engine's bytes pass as they are. */
  translation?: Translation;
  /** What becomes of a whole answer before it is counted, when that takes time. A failure of it is one of the call. */
  finish?: (bytes: Uint8Array, signal: AbortSignal) => Promise<Finished>;
}

export interface Finished {
  bytes: Uint8Array;
  contentType: string;
  headers?: Record<string, string>;
}

export interface Prepared {
  /** Fields to send in place of the caller's; null: none. */
  instead: Record<string, unknown> | null;
  /** To be sent in place of the body: a form of `writeForm`. */
  form?: { bytes: Uint8Array; contentType: string };
  /** What was found that the plan may limit besides tokens. */
  measures?: readonly Measure[];
  /** Header fields for our own workers. */
  headers?: Record<string, string>;
}
