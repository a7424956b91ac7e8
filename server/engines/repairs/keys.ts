// Keys that clients break on when they are absent, null or of another type.

import { newId } from "@oxbow/contract";
import { choicesOf, isObject, type Json } from "../json.ts";
import type { Said } from "../said.ts";
import { eachChunk, type Repair } from "./repair.ts";

export const keys: Repair = {
  about:
    "`id`, `object`, `created`, `choices`, `index`, `delta` and `message` are supplied where they are absent, null or of another type; id, time and fingerprint stay the same over a stream; `error: null` is taken out; log-probabilities have all their keys. Of embeddings: `object` and `index`.",

  stream(said) {
    const object = CHUNK_OBJECTS[said.path];
    if (object === undefined) return eachChunk(() => false);
    let id: string | null = null;
    let created: number | null = null;
    let fingerprint: unknown;
    let first = true;
    return eachChunk((chunk) => {
      if (first) fingerprint = chunk.system_fingerprint;
      first = false;
      id ??= idOf(chunk.id, said.path);
      created ??= createdOf(chunk.created);
      let changed = set(chunk, "id", id);
      changed = set(chunk, "object", object) || changed;
      changed = set(chunk, "created", created) || changed;
      if (chunk.system_fingerprint !== fingerprint) {
        if (fingerprint === undefined) delete chunk.system_fingerprint;
        else chunk.system_fingerprint = fingerprint;
        changed = true;
      }
      if ("error" in chunk) changed = delete chunk.error;
      return choicesMended(chunk, said, "delta") || changed;
    });
  },

  whole(answer, said) {
    if (said.path === EMBEDDINGS) return embeddingsMended(answer);
    const object = WHOLE_OBJECTS[said.path];
    if (object === undefined) return false;
    let changed = set(answer, "id", idOf(answer.id, said.path));
    changed = set(answer, "object", object) || changed;
    changed = set(answer, "created", createdOf(answer.created)) || changed;
    if ("error" in answer) changed = delete answer.error;
    return choicesMended(answer, said, "message") || changed;
  },
};

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";
const EMBEDDINGS = "/v1/embeddings";
const CHUNK_OBJECTS: Record<string, string> = { [CHAT]: "chat.completion.chunk", [COMPLETIONS]: "text_completion" };
const WHOLE_OBJECTS: Record<string, string> = { [CHAT]: "chat.completion", [COMPLETIONS]: "text_completion" };

function idOf(said: unknown, path: string): string {
  if (typeof said === "string" && said !== "") return said;
  return newId(path === CHAT ? "chatcmpl-" : "cmpl-");
}

/** Whole seconds: some engines say them with a fraction. */
function createdOf(said: unknown): number {
  return typeof said === "number" && said > 0 ? Math.floor(said) : Math.floor(Date.now() / 1000);
}

function choicesMended(document: Json, said: Said, part: "delta" | "message"): boolean {
  const told = Array.isArray(document.choices) ? document.choices : null;
  const choices = choicesOf(document);
  let changed = told?.length !== choices.length && set(document, "choices", choices);
  for (const [index, choice] of choices.entries()) {
    if (!Number.isInteger(choice.index)) changed = set(choice, "index", index);
    if (said.path === COMPLETIONS) {
      if (typeof choice.text !== "string") changed = set(choice, "text", "");
      if (choice.logprobs === undefined) changed = set(choice, "logprobs", null);
      continue;
    }
    if (isObject(choice.logprobs)) changed = logprobsMended(choice.logprobs) || changed;
    if (!isObject(choice[part])) changed = set(choice, part, {});
    if (part === "message") changed = messageMended(choice.message as Json) || changed;
  }
  return changed;
}

/** The older endpoint's have another form, and are left as they are. */
function logprobsMended(logprobs: Json): boolean {
  let changed = false;
  for (const key of ["content", "refusal"]) if (logprobs[key] === undefined) changed = set(logprobs, key, null);
  for (const token of Array.isArray(logprobs.content) ? logprobs.content.filter(isObject) : []) {
    if (token.bytes === undefined) changed = set(token, "bytes", null);
    if (!Array.isArray(token.top_logprobs)) changed = set(token, "top_logprobs", []);
    for (const top of (token.top_logprobs as unknown[]).filter(isObject)) {
      if (top.bytes === undefined) changed = set(top, "bytes", null);
    }
  }
  return changed;
}

function messageMended(message: Json): boolean {
  let changed = message.role !== "assistant" && set(message, "role", "assistant");
  for (const key of ["content", "refusal"]) if (message[key] === undefined) changed = set(message, key, null);
  return changed;
}

function embeddingsMended(answer: Json): boolean {
  let changed = set(answer, "object", "list");
  for (const [index, row] of (Array.isArray(answer.data) ? answer.data.filter(isObject) : []).entries()) {
    changed = set(row, "object", "embedding") || changed;
    if (!Number.isInteger(row.index)) changed = set(row, "index", index);
  }
  return changed;
}

/** @returns whether it said something else before */
function set(holder: Json, key: string, value: unknown): boolean {
  if (holder[key] === value) return false;
  holder[key] = value;
  return true;
}
