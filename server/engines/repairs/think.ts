// Reasoning that an engine leaves in the text, between <think> and </think> at its beginning.

import { choicesOf, type Json, partOf } from "../json.ts";
import { chunkWith, eachChunk, type Repair } from "./repair.ts";

export const think: Repair = {
  about: "What stands between `<think>` and `</think>` at the beginning of the text moves to `reasoning_content`.",

  stream(said) {
    if (said.path !== "/v1/chat/completions") return eachChunk(() => false);
    const byChoice = new Map<unknown, Splitter>();
    return {
      chunk(chunk, changed) {
        const more: Json[] = [];
        for (const choice of choicesOf(chunk)) {
          const delta = partOf(choice, "delta");
          const splitter = byChoice.get(choice.index) ?? createSplitter();
          byChoice.set(choice.index, splitter);
          const ends = typeof choice.finish_reason === "string";
          const told = typeof delta?.content === "string" ? delta.content : "";
          if (delta === null || (told === "" && !ends)) continue;
          const parts = splitter.push(told, ends);
          if (parts.length === 1 && parts[0]!.key === "content" && parts[0]!.text === told) continue;
          if (parts.length === 0 && told === "") continue;
          changed();
          delete delta.content;
          // All but the last go out in chunks of their own, before what else the chunk says.
          const last = parts.pop();
          for (const { key, text } of parts) more.push(chunkWith(chunk, choice, { [key]: text }));
          if (last) delta[last.key] = last.text;
        }
        return [...more, chunk];
      },
    };
  },

  whole(answer) {
    let changed = false;
    for (const choice of choicesOf(answer)) {
      const message = partOf(choice, "message");
      const told = message?.content;
      if (message === null || typeof told !== "string") continue;
      const parts = createSplitter().push(told, true);
      if (!parts.some(({ key }) => key === "reasoning_content")) continue;
      for (const { key } of parts) message[key] = "";
      message.content = "";
      for (const { key, text } of parts) message[key] += text;
      changed = true;
    }
    return changed;
  },
};

interface Part {
  key: "content" | "reasoning_content";
  text: string;
}

const OPEN = "<think>";
const CLOSE = "</think>";

/** Cuts the text of one choice, holding back what may be the beginning of a mark. */
function createSplitter() {
  let state: "before" | "inside" | "after" = "before";
  let held = "";
  /** Line ends right behind a mark are part of the markup. */
  let behindMark = false;

  function unlined() {
    if (!behindMark) return;
    held = held.replace(/^\n+/, "");
    behindMark = held === "";
  }

  return {
    /** @param ends whether nothing follows: then nothing is held back */
    push(text: string, ends: boolean): Part[] {
      const parts: Part[] = [];
      const say = (key: Part["key"], what: string) => void (what !== "" && parts.push({ key, text: what }));
      held += text;
      if (state === "before") {
        const start = held.trimStart();
        if (start.startsWith(OPEN)) {
          state = "inside";
          held = start.slice(OPEN.length);
          behindMark = true;
        } else if (ends || !OPEN.startsWith(start)) state = "after";
        else return parts;
      }
      unlined();
      if (state === "inside") {
        const at = held.indexOf(CLOSE);
        if (at >= 0) {
          say("reasoning_content", held.slice(0, at));
          held = held.slice(at + CLOSE.length);
          behindMark = true;
          unlined();
          state = "after";
        } else {
          const keep = ends ? 0 : overlap(held);
          say("reasoning_content", held.slice(0, held.length - keep));
          held = held.slice(held.length - keep);
          return parts;
        }
      }
      say("content", held);
      held = "";
      return parts;
    },
  };
}
type Splitter = ReturnType<typeof createSplitter>;

/** How much of the end of `text` may be the beginning of the closing mark. */
function overlap(text: string): number {
  for (let length = Math.min(CLOSE.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(CLOSE.slice(0, length))) return length;
  }
  return 0;
}
