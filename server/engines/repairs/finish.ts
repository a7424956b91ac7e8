// Why a choice ended: one of the five reasons there are, once, as the last thing that is said of it.

import { engineInterrupted } from "@oxbow/contract";
import { choicesOf, isObject, type Json, partOf } from "../json.ts";
import type { Said } from "../said.ts";
import type { Repair } from "./repair.ts";

export const finish: Repair = {
  about:
    "`finish_reason` is null until the end and then one of `stop`, `length`, `tool_calls`, `content_filter`, `function_call`: other names are translated, an absent one is supplied, calls of tools end with `tool_calls` (with `stop` where one tool was named, as OpenAI has it), and what follows the end of a choice is dropped. `abort` and `error` break the answer off.",

  stream(said) {
    const calling = new Map<unknown, Calls>();
    const open = new Map<unknown, Json>();
    const ended = new Set<unknown>();
    return {
      chunk(chunk, changed) {
        if (!Array.isArray(chunk.choices)) return [chunk];
        const before = chunk.choices.length;
        chunk.choices = choicesOf(chunk).filter(({ index }) => !ended.has(index));
        if ((chunk.choices as Json[]).length < before) {
          changed();
          if ((chunk.choices as Json[]).length === 0 && !isObject(chunk.usage)) return [];
        }
        for (const choice of choicesOf(chunk)) {
          const calls = callsIn(partOf(choice, "delta"));
          if (calls !== null) calling.set(choice.index, calls);
          const reason = reasonOf(choice.finish_reason, calling.get(choice.index) ?? null, said);
          if (reason === null) open.set(choice.index, chunk);
          else {
            open.delete(choice.index);
            ended.add(choice.index);
          }
          if (choice.finish_reason === reason) continue;
          choice.finish_reason = reason;
          changed();
        }
        return [chunk];
      },

      end: () =>
        [...open].map(([index, { usage: _, ...head }]) => {
          const reason = reasonOf("stop", calling.get(index) ?? null, said);
          const said_ = said.path === "/v1/completions" ? { text: "" } : { delta: {} };
          return { ...head, choices: [{ index, ...said_, finish_reason: reason }] };
        }),
    };
  },

  whole(answer, said) {
    let changed = false;
    for (const choice of choicesOf(answer)) {
      const calls = callsIn(partOf(choice, "message"));
      const reason = reasonOf(choice.finish_reason || "stop", calls, said);
      if (choice.finish_reason === reason) continue;
      choice.finish_reason = reason;
      changed = true;
    }
    return changed;
  },
};

const REASONS = new Set(["stop", "length", "tool_calls", "content_filter", "function_call"]);

/** Names that engines have for the same. Lower case. */
const TRANSLATED: Record<string, string> = {
  max_tokens: "length",
  max_length: "length",
  max_output_tokens: "length",
  tool_call: "tool_calls",
  tool_use: "tool_calls",
  safety: "content_filter",
  recitation: "content_filter",
  refusal: "content_filter",
};

/** Reasons that are none: the answer is not whole. */
const BROKEN = new Set(["abort", "aborted", "cancelled", "error"]);

/** The field in which an answer calls tools: the one of today, or the one it had before. */
type Calls = "tool_calls" | "function_call";

/** Null: it has not ended. @throws ApiError `engine_interrupted` */
function reasonOf(told: unknown, calls: Calls | null, said: Said): string | null {
  if (told === null || told === undefined || told === "") return null;
  const name = String(told).toLowerCase();
  if (BROKEN.has(name)) throw engineInterrupted();
  const reason = REASONS.has(name) ? name : (TRANSLATED[name] ?? "stop");
  if (reason === "length" || reason === "content_filter") return reason;
  return calls === null || namesOne(said, calls) ? "stop" : calls;
}

function callsIn(part: Json | null): Calls | null {
  if (Array.isArray(part?.tool_calls) && part.tool_calls.length > 0) return "tool_calls";
  return isObject(part?.function_call) ? "function_call" : null;
}

/** Whether the caller chose the tool himself. */
function namesOne({ asked }: Said, calls: Calls): boolean {
  if (calls === "function_call") return isObject(asked?.function_call);
  return isObject(asked?.tool_choice) && asked.tool_choice.type === "function";
}
