// What a repair is: one thing that engines get wrong, and how it is put right, in the chunks of a stream and in whole
// answers. A repair leaves alone what is right: then the engine's own bytes pass.

import type { Json } from "../json.ts";
import type { Said } from "../said.ts";
import type { Tally } from "./tally.ts";

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
