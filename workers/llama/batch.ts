// Which tokens go into the next step: one of every sequence that generates, and a share of each prompt being read.

import type { Run } from "./job.ts";
import type { NativeContext } from "./native.ts";
import type { Slot } from "./slots.ts";

/** One sequence's part of a batch. */
export interface Part {
  slot: Slot<Run>;
  run: Run;
  tokens: Uint32Array;
  /** Indexes into `tokens` after which logits are wanted. */
  wanted: Uint32Array;
}

/** While others generate, prompts get this part of a batch at most: it bounds the pause between two of their tokens. */
const READING_PART = 4;
/** Tokens a step when every one of them is scored: the engine keeps a row of logits, as long as the vocabulary, for each. */
const SCORED_TOKENS = 32;

/** Parts in ascending order of slots, `batchTokens` together at most. Runs that have ended are left out. */
export function planBatch(slots: Slot<Run>[], batchTokens: number): Part[] {
  const active = slots.filter((slot) => slot.run !== null && slot.run.ended === null);
  let reading = active.filter((slot) => slot.run!.last === null).length;
  const generating = active.length - reading;
  let left = batchTokens - generating;
  if (generating > 0) left = Math.min(left, Math.max(reading, Math.floor(batchTokens / READING_PART)));

  const parts: Part[] = [];
  for (const slot of active) {
    const run = slot.run!;
    if (run.last !== null) {
      parts.push({ slot, run, tokens: Uint32Array.of(run.last), wanted: FIRST });
      continue;
    }
    const part = readingPart(slot, run, Math.ceil(left / reading));
    left -= part.tokens.length;
    reading--;
    if (part.tokens.length > 0) parts.push(part);
  }
  return parts;
}

const FIRST = Uint32Array.of(0);
const NONE = new Uint32Array(0);

function readingPart(slot: Slot<Run>, run: Run, share: number): Part {
  const { prompt, scorePrompt } = run.job;
  const start = slot.cache.length;
  const end = Math.min(prompt.length, start + (scorePrompt ? Math.min(share, SCORED_TOKENS) : share));
  const tokens = prompt.slice(start, end);
  const wanted = scorePrompt
    ? tokens.map((_, i) => i)
    : end === prompt.length
      ? Uint32Array.of(tokens.length - 1)
      : NONE;
  return { slot, run, tokens, wanted };
}

/**
 * Puts the parts into the engine's batch, and on record as what the slots hold.
 *
 * @returns for each part, where the engine will keep the wanted logits
 */
export function loadBatch(context: NativeContext, parts: Part[]): Uint32Array[] {
  context.startBatch(parts.reduce((sum, part) => sum + part.tokens.length, 0));
  return parts.map(({ slot, tokens, wanted }) => {
    const logits = context.add(slot.id, slot.cache.length, tokens, wanted);
    for (const token of tokens) slot.cache.push(token);
    return logits;
  });
}
