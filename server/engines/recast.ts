// An answer in the other of the two forms: whole where events came, and as events where it came whole. Some servers stream
// only, or do not stream where tools are asked for; whoever called keeps what was promised to him.

import { createSseReader, SSE_DONE, sseEvent } from "@oxbow/contract";
import { choicesOf, isObject, type Json, partOf } from "./json.ts";

/** Endpoints whose answers have both forms. */
const OBJECTS: Record<string, { whole: string; chunk: string }> = {
  "/v1/chat/completions": { whole: "chat.completion", chunk: "chat.completion.chunk" },
  "/v1/completions": { whole: "text_completion", chunk: "text_completion" },
};

export function hasBothForms(path: string): boolean {
  return Object.hasOwn(OBJECTS, path);
}

/** The events that say what a whole answer says: for each choice what it holds, then its end. */
export function eventsOf({ choices: _, usage, ...head }: Json, choices: Json[], path: string, counts: boolean): string {
  const chunk = (choice: Json) =>
    sseEvent({ ...head, object: OBJECTS[path]!.chunk, choices: [choice], ...(counts ? { usage: null } : {}) });
  let text = "";
  for (const [at, choice] of choices.entries()) {
    const { index = at, message, text: said, logprobs, finish_reason = null } = choice;
    const what = isObject(message) ? { delta: deltaOf(message) } : { text: said };
    const none = isObject(message) ? { delta: {} } : { text: "" };
    text += chunk({ index, ...what, ...(logprobs === undefined ? {} : { logprobs }), finish_reason: null });
    text += chunk({ index, ...none, ...(logprobs === undefined ? {} : { logprobs: null }), finish_reason });
  }
  if (isObject(usage)) text += sseEvent({ ...head, object: OBJECTS[path]!.chunk, choices: [], usage });
  return text + SSE_DONE;
}

/** Of a message, what a delta can say. */
function deltaOf({ annotations, tool_calls, function_call, ...message }: Json): Json {
  const notes = Array.isArray(annotations) && annotations.length > 0 ? { annotations } : {};
  const calls = Array.isArray(tool_calls) ? tool_calls.filter(isObject) : [];
  return {
    ...message,
    ...notes,
    ...(calls.length > 0 ? { tool_calls: calls.map((call, index) => ({ index, ...call })) } : {}),
    ...(isObject(function_call) ? { function_call } : {}),
  };
}

/** Puts the events of a stream together into the answer that they tell. */
export function createGatherer(path: string) {
  const sse = createSseReader();
  let answer: Json = {};
  const choices = new Map<number, Json>();

  function add(chunk: Json): void {
    const { choices: told, usage, ...head } = chunk;
    answer = { ...head, ...answer };
    if (isObject(usage)) answer.usage = usage;
    for (const choice of choicesOf({ choices: told })) {
      const index = choice.index as number;
      const whole = choices.get(index) ?? begun(index, choice);
      choices.set(index, whole);
      addChoice(whole, choice);
    }
  }

  return {
    push(bytes: Uint8Array): void {
      for (const { data } of sse.push(bytes)) if (data !== "[DONE]") add(JSON.parse(data) as Json);
    },
    end(): Json {
      const inOrder = [...choices.values()].sort((a, b) => (a.index as number) - (b.index as number));
      return { ...answer, object: OBJECTS[path]!.whole, choices: inOrder };
    },
  };
}

function begun(index: number, choice: Json): Json {
  if (partOf(choice, "delta") === null) return { text: "", index, logprobs: null, finish_reason: null };
  return { index, message: { role: "assistant", content: null, refusal: null }, logprobs: null, finish_reason: null };
}

function addChoice(whole: Json, { delta, text, logprobs, finish_reason }: Json): void {
  if (typeof finish_reason === "string") whole.finish_reason = finish_reason;
  if (isObject(logprobs)) whole.logprobs = joined(whole.logprobs, logprobs);
  if (typeof text === "string") whole.text = `${whole.text ?? ""}${text}`;
  if (!isObject(delta)) return;
  const message = whole.message as Json;
  for (const [key, value] of Object.entries(delta)) {
    if (key === "role" || value === null) continue;
    if (key === "tool_calls") message.tool_calls = withCalls(message.tool_calls, value);
    else if (key === "function_call") message.function_call = joinedTexts(message.function_call, value);
    else message[key] = typeof value === "string" ? `${message[key] ?? ""}${value}` : value;
  }
}

/** The calls so far, and the pieces of them that have come. */
function withCalls(calls: unknown, pieces: unknown): Json[] {
  const all = Array.isArray(calls) ? (calls as Json[]) : [];
  for (const { index, ...piece } of Array.isArray(pieces) ? pieces.filter(isObject) : []) {
    const at = Number.isInteger(index) && (index as number) <= all.length ? (index as number) : all.length;
    const call = all[at] ?? {};
    all[at] = { ...call, ...piece, function: joinedTexts(call.function, piece.function) };
  }
  return all;
}

/** A name comes once, arguments in pieces. */
function joinedTexts(before: unknown, piece: unknown): Json {
  const whole: Json = isObject(before) ? before : {};
  const more: Json = isObject(piece) ? piece : {};
  return { ...whole, ...more, arguments: `${whole.arguments ?? ""}${more.arguments ?? ""}` };
}

/** Lists grow; of the rest the last word counts. */
function joined(before: unknown, more: Json): Json {
  const whole: Json = isObject(before) ? { ...before } : {};
  for (const [key, value] of Object.entries(more)) {
    const list = whole[key];
    whole[key] = Array.isArray(list) && Array.isArray(value) ? [...list, ...value] : (value ?? list ?? null);
  }
  return whole;
}
