// What an engine has said, as the rooms above take it.

import type { TokenCounts } from "@oxbow/contract";

export type EngineAnswer =
  /** JSON, or a short text of another type. */
  | { kind: "whole"; bytes: Uint8Array; contentType: string; usage: TokenCounts | null }
  | { kind: "stream"; events: EventStream }
  /** Neither JSON nor events, as it comes: the last frame is the last byte, and exists once the engine has ended. */
  | { kind: "bytes"; events: EventStream; contentType: string };

/** One or more whole events, as they came. */
export interface Frame {
  bytes: Uint8Array;
  /** How many choices the frame finishes: how often it holds a `finish_reason` that is a text. */
  finishes: number;
  /** The engine has said `[DONE]`, or an error: nothing follows. */
  last: boolean;
  /** The error event that is all the frame holds. */
  error: Error | null;
  /** What the engine said about tokens, if it did. Only of the last frame. */
  usage: TokenCounts | null;
}

export interface EventStream {
  /**
   * The next frame; null after the last one.
   * @throws ApiError `engine_interrupted` when the engine stops before its end
   */
  next(): Promise<Frame | null>;
  /** Hangs up on the engine. */
  cancel(): void;
}
