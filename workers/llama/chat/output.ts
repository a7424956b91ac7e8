// Decides how the answer to a call is constrained (a grammar) and how its text is read (content, reasoning, tool calls).

import type { ChatRequest } from "@oxbow/contract";
import type { ChatTemplate } from "./template.ts";

export interface OutputPlan {
  /** GBNF with the root rule `root`; null when the model may say anything. */
  readonly grammar: string | null;
  /** One per choice: a reader has a state. */
  createReader(): OutputReader;
}

/**
 * Text must come with special tokens spelled out (`<tool_call>`, `<think>`), except the one that ends the answer: they
 * are the markers that the reader looks for.
 */
export interface OutputReader {
  push(text: string): OutputPiece[];
  /** The model ended, or was cut off: what was held back. */
  end(): OutputPiece[];
}

export type OutputPiece =
  | { kind: "content"; text: string }
  | { kind: "reasoning"; text: string }
  /** A tool call begins; the `arguments` that follow belong to it. */
  | { kind: "call"; name: string }
  | { kind: "arguments"; text: string };

/** @throws ApiError `invalid_schema`, naming the keyword that cannot be enforced */
export function planOutput(_call: ChatRequest, _template: ChatTemplate): OutputPlan {
  throw new Error("under construction");
}
