// What is done to the chunks of one stream, and to a whole answer: our id of the model, the repairs that the kind's row asks
// for, and errors found where an answer should be. What needs nothing passes as the engine wrote it.

import { sseEvent } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import { choicesOf, isObject, type Json } from "./json.ts";
import { remoteError } from "./refusals.ts";
import type { StreamRepair } from "./repairs/repair.ts";
import { REPAIRS } from "./repairs/repairs.ts";
import { createTally, type Tally } from "./repairs/tally.ts";
import type { Said } from "./said.ts";

/** What becomes of one event. */
export interface Mended {
  text: string;
  /** How many choices it finishes. */
  finishes: number;
}

/** All that is done to the chunks of one stream. */
export function createMending(said: Said, remote: RemoteKind) {
  const tally: Tally = createTally(said);
  const stages: StreamRepair[] = remote.repairs.map((name) => REPAIRS[name]!.stream(said, tally));
  const open = new Set<unknown>();
  let seen = false;
  // Asked for by us and not by the caller: he has not to see it, whether or not the row repairs what engines make of it.
  const drops = !said.wantsUsage && !remote.repairs.includes("usage");

  function through(chunks: Json[], from: number, changed: () => void): Json[] {
    let now = chunks;
    for (const stage of stages.slice(from)) now = now.flatMap((chunk) => stage.chunk(chunk, changed));
    return now;
  }

  /** @param original what the engine wrote, when nothing has changed in it */
  function written(chunks: Json[], original: string | null): Mended {
    const out: Mended = { text: "", finishes: 0 };
    for (const chunk of chunks) {
      for (const { index, finish_reason } of choicesOf(chunk)) {
        seen = true;
        if (typeof finish_reason !== "string") open.add(index);
        else {
          open.delete(index);
          out.finishes++;
        }
      }
      out.text += original === null ? sseEvent(chunk) : `data: ${original}\n\n`;
    }
    return out;
  }

  function one(data: string): Mended | Error {
    const chunk = parse(data);
    if (chunk === null) throw new Error("the engine sent an event that is no JSON object");
    if (isError(chunk)) return remoteError(chunk, null, remote, said);
    tally.see(chunk);
    let touched = renamed(chunk, said);
    if (drops && "usage" in chunk) {
      if (isObject(chunk.usage) && choicesOf(chunk).length === 0) return { text: "", finishes: 0 };
      delete chunk.usage;
      touched = true;
    }
    const out = through([chunk], 0, () => {
      touched = true;
    });
    return written(out, !touched && out.length === 1 && out[0] === chunk ? data : null);
  }

  return {
    /** An Error: the one that the event tells of. @throws Error for what is no event */
    event(data: string): Mended | Error {
      // Engines have been seen to leave out the blank line between two events.
      if (!data.includes("\n") || parse(data) !== null)
        return one(data.includes("\n") ? data.replaceAll("\n", " ") : data);
      const out: Mended = { text: "", finishes: 0 };
      for (const line of data.split("\n")) {
        const mended = one(line);
        if (mended instanceof Error) return mended;
        out.text += mended.text;
        out.finishes += mended.finishes;
      }
      return out;
    },

    /** What is owed once the engine has said all. @throws Error when it has said nothing */
    end(): Mended {
      const out: Mended = { text: "", finishes: 0 };
      for (const [index, stage] of stages.entries()) {
        const mended = written(
          through(stage.end?.() ?? [], index + 1, () => {}),
          null,
        );
        out.text += mended.text;
        out.finishes += mended.finishes;
      }
      if (!seen) throw new Error("the stream ended before it had begun");
      return out;
    },

    wholeWithoutDone: () => remote.repairs.includes("done") && seen && open.size === 0,
    counts: () => tally.counts(),
  };
}

/** Mends a whole answer in place. @returns whether anything was wrong */
export function mendWhole(answer: Json, said: Said, remote: RemoteKind, tally: Tally): boolean {
  tally.see(answer);
  let changed = renamed(answer, said);
  for (const name of remote.repairs) changed = REPAIRS[name]!.whole(answer, said, tally) || changed;
  return changed;
}

/** Our id of the model in place of its server's name. @returns whether they differ */
function renamed(document: Json, { model, path }: Said): boolean {
  if (model === null || document.model === model || (path === "/v1/embeddings" && document.model === undefined))
    return false;
  document.model = model;
  return true;
}

/** An error in the envelope, flat or as bare text: also where the status said that all is well. */
export function isError(document: Json): boolean {
  if (document.error !== undefined && document.error !== null && document.error !== "") return true;
  return document.object === "error";
}

export function parse(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null; // not JSON: whoever asked says what that means
  }
}
