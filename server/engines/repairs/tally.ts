// Counts the tokens of one answer: by the engine's own word where it gives one, else by estimate. The estimate is one
// token for every four bytes, and at least one for each delta of a stream; real tokenizers are within a factor of two of
// it for prose in Latin letters, and above it for other scripts.

import type { TokenCounts } from "@oxbow/contract";
import { choicesOf, isObject, type Json, partOf } from "../json.ts";
import type { Said } from "../said.ts";

export interface Tally {
  /** Looks at a chunk or a whole answer, as the engine sent it. */
  see(document: Json): void;
  counts(): TokenCounts;
  /** What the engine said of it, as it said it; null when it said nothing. */
  said(): Json | null;
}

const BYTES_PER_TOKEN = 4;
/** More than any answer has: what an engine says beyond it is no count, and a ledger of such could not be added up. */
const TOKENS_MAX = 1_000_000_000;

/** A whole number that tokens can have; engines have been made that say others. */
export function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= TOKENS_MAX;
}

export function createTally(said: Said): Tally {
  let usage: Json | null = null;
  let estimated = 0;
  return {
    see(document) {
      // Some engines say it again with each chunk: the last word counts.
      if (isObject(document.usage) && isCount(document.usage.prompt_tokens)) usage = document.usage;
      for (const choice of choicesOf(document)) estimated += tokensOf(choice);
    },
    counts() {
      const prompt = usage?.prompt_tokens;
      const completion = usage?.completion_tokens;
      return {
        prompt_tokens: isCount(prompt) ? prompt : promptTokens(said),
        completion_tokens: isCount(completion) ? completion : usage && typeof completion !== "number" ? 0 : estimated,
      };
    },
    said: () => usage,
  };
}

function tokensOf(choice: Json): number {
  const part = partOf(choice, "delta") ?? partOf(choice, "message");
  let bytes = bytesOf(choice.text);
  for (const key of ["content", "reasoning_content", "reasoning", "tool_calls", "function_call"])
    bytes += bytesOf(part?.[key]);
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

function promptTokens({ asked }: Said): number {
  const bytes = bytesOf(asked?.messages) + bytesOf(asked?.tools) + bytesOf(asked?.prompt) + bytesOf(asked?.input);
  return Math.max(1, Math.ceil(bytes / BYTES_PER_TOKEN));
}

function bytesOf(value: unknown): number {
  if (value === undefined || value === null) return 0;
  return Buffer.byteLength(typeof value === "string" ? value : JSON.stringify(value));
}
