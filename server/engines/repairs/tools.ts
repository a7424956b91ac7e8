// Calls of tools. In a stream the first delta of a call tells its index, id, type and name, and the others bring nothing
// but more of its arguments; helpers of SDKs join whatever else is repeated, and throw on what is absent.

import { newToolCallId } from "@oxbow/contract";
import { choicesOf, isObject, type Json, partOf } from "../json.ts";
import { chunkWith, eachChunk, type Repair } from "./repair.ts";

export const tools: Repair = {
  about:
    "Calls of tools are numbered from 0 without gaps, each with an index of its own; id, type and name stand in the first delta of a call and in no other, and are supplied where absent; `arguments` is JSON text, `{}` for none; an empty list of calls is taken out, and `function_call` that says the same again.",

  stream(said) {
    if (said.path !== "/v1/chat/completions") return eachChunk(() => false);
    const byChoice = new Map<unknown, Calls>();
    let head: Json = {};
    return {
      chunk(chunk, changed) {
        head = chunk;
        const before: Json[] = [];
        for (const choice of choicesOf(chunk)) {
          const delta = partOf(choice, "delta");
          const calls = byChoice.get(choice.index) ?? createCalls();
          byChoice.set(choice.index, calls);
          if (delta !== null && withoutOlder(delta)) changed();
          if (delta !== null && "tool_calls" in delta) {
            if (calls.mend(delta)) changed();
          }
          const owed = choice.finish_reason ? calls.owed() : [];
          if (owed.length > 0) before.push(chunkWith(chunk, choice, { tool_calls: owed }));
        }
        return [...before, chunk];
      },
      end: () =>
        [...byChoice].flatMap(([index, calls]) => {
          const owed = calls.owed();
          return owed.length > 0 ? [chunkWith(head, { index }, { tool_calls: owed })] : [];
        }),
    };
  },

  whole(answer) {
    let changed = false;
    for (const choice of choicesOf(answer)) {
      const message = partOf(choice, "message");
      if (message === null) continue;
      changed = withoutOlder(message) || changed;
      if (!("tool_calls" in message)) continue;
      const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : [];
      if (calls.length === 0) {
        changed = delete message.tool_calls;
        continue;
      }
      const ids = new Set<unknown>();
      for (const call of calls) {
        if (ids.has(call.id)) call.id = "";
        changed = callMended(call) || changed;
        ids.add(call.id);
      }
    }
    return changed;
  },
};

/** Some engines say a call twice, in the field of today and in the one before it; or say null there. */
function withoutOlder(part: Json): boolean {
  const isSaidTwice = Array.isArray(part.tool_calls) && part.tool_calls.length > 0;
  if (!("function_call" in part) || (part.function_call !== null && !isSaidTwice)) return false;
  return delete part.function_call;
}

interface Call {
  id: string;
  name: string;
  /** Whether its first delta has gone out. */
  started: boolean;
  /** Arguments that came before the name. */
  early: string;
  /** Whether it has any arguments. */
  filled: boolean;
}

/** The calls of one choice, in the order in which they began. */
function createCalls() {
  const calls: Call[] = [];
  /** Which call the engine means by its own index. */
  const byIndex = new Map<unknown, number>();

  /** 1. no index: by its id, or the one that is being told; 2. a known index with another id: a new call all the same. */
  function placeOf(delta: Json, id: string, name: string): number {
    const known =
      delta.index === undefined || delta.index === null
        ? id === ""
          ? name !== "" && calls.length > 0 && calls.at(-1)!.started
            ? -1
            : calls.length - 1
          : calls.findIndex((call) => call.id === id)
        : (byIndex.get(delta.index) ?? -1);
    const call = calls[known];
    const isAnother = call !== undefined && id !== "" && call.id !== id && name !== "" && call.name !== "";
    if (call !== undefined && !isAnother) return known;
    const taken = calls.some((each) => each.id === id);
    calls.push({
      id: taken ? newToolCallId() : id || newToolCallId(),
      name: "",
      started: false,
      early: "",
      filled: false,
    });
    if (delta.index !== undefined && delta.index !== null) byIndex.set(delta.index, calls.length - 1);
    return calls.length - 1;
  }

  /** One entry of a delta as it should be; null when it says nothing yet. */
  function entryOf(delta: Json): Json | null {
    const told = isObject(delta.function) ? delta.function : {};
    const id = typeof delta.id === "string" ? delta.id : "";
    const name = typeof told.name === "string" ? told.name : "";
    const index = placeOf(delta, id, name);
    const call = calls[index]!;
    const fragment = textOf(told.arguments);
    if (call.started) {
      if (fragment !== "") call.filled = true;
      return fragment === "" ? null : { index, function: { arguments: fragment } };
    }
    call.name ||= name;
    call.early += fragment;
    if (call.name === "") return null;
    call.started = true;
    call.filled = call.early !== "";
    return { index, id: call.id, type: "function", function: { name: call.name, arguments: call.early } };
  }

  return {
    /** @returns whether something was wrong */
    mend(delta: Json): boolean {
      const told = Array.isArray(delta.tool_calls) ? delta.tool_calls.filter(isObject) : [];
      const entries = told.map(entryOf).filter((entry) => entry !== null);
      if (entries.length > 0 && Bun.deepEquals(entries, delta.tool_calls)) return false;
      if (entries.length > 0) delta.tool_calls = entries;
      else delete delta.tool_calls;
      return true;
    },
    /** A tool without parameters is called with an empty object, not with nothing. */
    owed(): Json[] {
      const empty = calls.flatMap((call, index) => (call.started && !call.filled ? [{ call, index }] : []));
      for (const { call } of empty) call.filled = true;
      return empty.map(({ index }) => ({ index, function: { arguments: "{}" } }));
    },
  };
}
type Calls = ReturnType<typeof createCalls>;

function callMended(call: Json): boolean {
  let changed = false;
  if (typeof call.id !== "string" || call.id === "") {
    call.id = newToolCallId();
    changed = true;
  }
  if (call.type !== "function" && call.type !== "custom") {
    call.type = "function";
    changed = true;
  }
  if (!isObject(call.function)) return changed;
  const text = textOf(call.function.arguments) || "{}";
  if (call.function.arguments === text) return changed;
  call.function.arguments = text;
  return true;
}

/** Some engines send arguments as the object itself. */
function textOf(told: unknown): string {
  if (told === undefined || told === null) return "";
  return typeof told === "string" ? told : JSON.stringify(told);
}
