// The role of a choice: in its first delta, and only there. Helpers of SDKs join what comes twice.

import { choicesOf, partOf } from "../json.ts";
import { eachChunk, type Repair } from "./repair.ts";

export const role: Repair = {
  about: "`role` stands in the first delta of each choice and in no other; absent, null or empty it is supplied.",

  stream(said) {
    if (said.path !== "/v1/chat/completions") return eachChunk(() => false);
    const started = new Set<unknown>();
    return eachChunk((chunk) => {
      let changed = false;
      for (const choice of choicesOf(chunk)) {
        const delta = partOf(choice, "delta");
        if (delta === null) continue;
        if (started.has(choice.index)) {
          if ("role" in delta) changed = delete delta.role;
          continue;
        }
        started.add(choice.index);
        if (delta.role === "assistant") continue;
        choice.delta = { ...delta, role: "assistant" };
        changed = true;
      }
      return changed;
    });
  },

  // A whole message has its role from `keys`.
  whole: () => false,
};
