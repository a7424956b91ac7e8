// What a repair is: one thing that engines get wrong, and how it is put right, in the chunks of a stream and in whole
// answers. A repair leaves alone what is right: then the engine's own bytes pass.

import type { Said } from "../say.ts";
import type { Tally } from "./tally.ts";

export type Json = Record<string, unknown>;

export interface Repair {
  /** For docs/engines.md: what engines get wrong, and what becomes of it. */
  about: string;
  /** For one stream. */
  stream(said: Said, tally: Tally): StreamRepair;
  /** Mends a whole answer in place. @returns whether something was wrong */
  whole(answer: Json, said: Said, tally: Tally): boolean;
}

export interface StreamRepair {
  /**
   * Mends a chunk in place, and tells `changed` when it did.
   * @returns what goes on in its place: itself, nothing, or more
   */
  chunk(chunk: Json, changed: () => void): Json[];
  /** What is still owed when the engine has said everything. */
  end?(): Json[];
}

/** The choices of a chunk or an answer; none when there is no list of them. */
export function choicesOf(document: Json): Json[] {
  return Array.isArray(document.choices) ? document.choices.filter(isObject) : [];
}

/** What of a choice says something: the `delta` of a chunk, the `message` of an answer. */
export function partOf(choice: Json, name: "delta" | "message"): Json | null {
  return isObject(choice[name]) ? choice[name] : null;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A stream repair that mends chunks one by one and never makes more or fewer of them. */
export function eachChunk(mend: (chunk: Json) => boolean): StreamRepair {
  return {
    chunk(chunk, changed) {
      if (mend(chunk)) changed();
      return [chunk];
    },
  };
}

/** A copy of a chunk with one choice, whose delta says something else. */
export function chunkWith(chunk: Json, choice: Json, delta: Json, finish: unknown = null): Json {
  const { usage: _, ...head } = chunk;
  return { ...head, choices: [{ index: choice.index, delta, finish_reason: finish }] };
}
