// Where a model's reasoning stands: in `reasoning_content`, which is the one field that every SDK reads.

import { choicesOf, type Json, partOf } from "../json.ts";
import { eachChunk, type Repair } from "./repair.ts";

export const reasoning: Repair = {
  about: "Reasoning in `reasoning` or `thinking` moves to `reasoning_content`.",
  stream: () => eachChunk((chunk) => choicesOf(chunk).filter((choice) => moved(partOf(choice, "delta"))).length > 0),
  whole: (answer) => choicesOf(answer).filter((choice) => moved(partOf(choice, "message"))).length > 0,
};

function moved(part: Json | null): boolean {
  let changed = false;
  for (const name of ["reasoning", "thinking"]) {
    if (part === null || !(name in part)) continue;
    if (typeof part[name] === "string" && typeof part.reasoning_content !== "string")
      part.reasoning_content = part[name];
    delete part[name];
    changed = true;
  }
  return changed;
}
