// What an answer cost: told once, in a chunk of its own before the end of the stream, to those who asked.

import { choicesOf, isObject, type Json } from "../json.ts";
import type { Repair } from "./repair.ts";
import { isCount, type Tally } from "./tally.ts";

export const usage: Repair = {
  about:
    "`usage` stands in one chunk with `choices: []` before the end when it was asked for, and nowhere else; sums are supplied, details that are null are taken out; where the engine tells no counts, they are estimated: a token for every four bytes, and at least one for each delta.",

  stream({ wantsUsage }, tally) {
    let last: Json | null = null;
    let head: Json = {};
    return {
      chunk(chunk, changed) {
        head = chunk;
        // The counts come last, whatever the engine says behind them.
        if (isObject(chunk.usage) && choicesOf(chunk).length === 0) {
          last = chunk;
          return [];
        }
        // Null says that they will come.
        if (wantsUsage ? chunk.usage === null : !("usage" in chunk)) return [chunk];
        if (wantsUsage) chunk.usage = null;
        else delete chunk.usage;
        changed();
        return [chunk];
      },
      end() {
        if (!wantsUsage) return [];
        return [{ ...(last ?? head), choices: [], usage: countsOf(tally) }];
      },
    };
  },

  whole(answer, { path }, tally) {
    const { usage } = answer;
    const { completion_tokens: said } = isObject(usage) ? usage : {};
    if (isObject(usage) && isCount(usage.prompt_tokens) && (said === undefined || said === null || isCount(said)))
      return sumsSupplied(usage);
    const { completion_tokens, ...rest } = countsOf(tally);
    answer.usage = path === "/v1/embeddings" ? { ...rest, total_tokens: rest.prompt_tokens } : countsOf(tally);
    return completion_tokens !== undefined;
  },
};

function countsOf(tally: Tally) {
  const said = tally.said();
  const counts = tally.counts();
  const details = Object.fromEntries(Object.entries(said ?? {}).filter(([, value]) => value !== null));
  return { ...details, ...counts, total_tokens: counts.prompt_tokens + counts.completion_tokens };
}

/** Sums that are missing, and details that are null. @returns whether there were any */
function sumsSupplied(usage: Json): boolean {
  let changed = false;
  for (const [key, value] of Object.entries(usage)) if (value === null) changed = delete usage[key];
  if (typeof usage.total_tokens === "number") return changed;
  const of = (key: string) => (typeof usage[key] === "number" ? usage[key] : 0);
  usage.total_tokens = of("prompt_tokens") + of("completion_tokens");
  return true;
}
