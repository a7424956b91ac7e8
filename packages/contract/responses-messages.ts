// From the items of a Responses request to the messages of a chat. Reasoning, text and calls that stand together are one
// message of the assistant, and the results of its calls follow it at once: chat wants them there, items may have them
// anywhere.

import type { ChatMessage } from "./chat.ts";
import { ApiError } from "./errors.ts";
import type { FunctionCallItem, FunctionCallOutputItem, InputItem, MessageItem, UserPart } from "./responses-input.ts";

/** A message, and where in the caller's request it comes from: `input[2]`. */
export interface PlacedMessage {
  message: ChatMessage;
  path: string;
}

/** @throws ApiError `invalid_combination` for a call without its result, and for a result without its call */
export function messagesOf(input: InputItem[]): PlacedMessage[] {
  const placed: PlacedMessage[] = [];
  const results = createResults(input);
  for (const step of stepsOf(input)) {
    if ("message" in step) {
      placed.push(step);
      continue;
    }
    placed.push({ message: messageOfTurn(step), path: step.path });
    for (const { call_id } of step.calls) {
      const { item, path } = results.take(call_id);
      placed.push({ message: { role: "tool", tool_call_id: call_id, content: textsOf(item.output) }, path });
    }
  }
  results.refuseOrphans();
  return placed;
}

/** What the assistant has said in one go. */
interface Turn {
  path: string;
  reasoning: string;
  content: AssistantContent | undefined;
  calls: FunctionCallItem[];
}
type AssistantContent = Extract<MessageItem, { role: "assistant" }>["content"];

function* stepsOf(input: InputItem[]): Generator<Turn | PlacedMessage> {
  let turn: Turn | null = null;
  for (const entry of input) {
    const { kind, item, path } = entry;
    const ofAssistant =
      kind === "reasoning" || kind === "function_call" || (kind === "message" && item.role === "assistant");
    // Reasoning and text come before calls: where they come after, something new has begun.
    const begins: boolean =
      turn !== null && kind !== "function_call" && (turn.content !== undefined || turn.calls.length > 0);
    if (turn && (!ofAssistant || begins)) {
      yield turn;
      turn = null;
    }
    if (ofAssistant) {
      turn ??= { path, reasoning: "", content: undefined, calls: [] };
      if (kind === "reasoning")
        turn.reasoning +=
          (item.content?.length ? item.content : item.summary)?.map(({ text }) => text).join("\n") ?? "";
      else if (kind === "function_call") turn.calls.push(item);
      else if (kind === "message" && item.role === "assistant") turn.content = item.content;
    } else if (kind === "message" && item.role !== "assistant") {
      yield { message: messageOf(item), path };
    }
  }
  if (turn) yield turn;
}

function messageOfTurn({ reasoning, content, calls }: Turn): ChatMessage {
  return {
    role: "assistant",
    ...(content === undefined ? {} : { content: assistantContentOf(content) }),
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(toolCallOf) }),
  };
}

interface Result {
  item: FunctionCallOutputItem;
  path: string;
}

/** Results by the call they answer; a call id that is used twice is answered in order. */
function createResults(input: InputItem[]) {
  const open = new Map<string, Result[]>();
  for (const { kind, item, path } of input) {
    if (kind !== "function_call_output") continue;
    const results = open.get(item.call_id);
    if (results) results.push({ item, path });
    else open.set(item.call_id, [{ item, path }]);
  }
  const refuse = (text: string) => new ApiError("invalid_combination", text, { param: "input" });
  return {
    take(id: string): Result {
      const result = open.get(id)?.shift();
      if (!result) throw refuse(`No tool output found for function call ${id.slice(0, 64)}.`);
      return result;
    },
    refuseOrphans(): void {
      for (const [id, results] of open) {
        if (results.length === 0) continue;
        throw refuse(`No tool call found for function call output with call_id ${id.slice(0, 64)}.`);
      }
    },
  };
}

function toolCallOf({ call_id, name, arguments: text }: FunctionCallItem) {
  return { type: "function" as const, id: call_id, function: { name, arguments: text } };
}

function messageOf(item: Exclude<MessageItem, { role: "assistant" }>): ChatMessage {
  if (item.role !== "user") return { role: item.role, content: textsOf(item.content) };
  return { role: "user", content: typeof item.content === "string" ? item.content : item.content.map(partOf) };
}

function textsOf(content: string | { text: string }[]) {
  return typeof content === "string" ? content : content.map(({ text }) => ({ type: "text" as const, text }));
}

function assistantContentOf(content: AssistantContent) {
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "refusal" ? part : { type: "text" as const, text: part.text }));
}

function partOf(part: UserPart) {
  switch (part.type) {
    case "input_text":
      return { type: "text" as const, text: part.text };
    case "input_image":
      return { type: "image_url" as const, image_url: { url: part.image_url!, detail: part.detail ?? "auto" } };
    case "input_file":
      return { type: "file" as const, file: { file_data: part.file_data, filename: part.filename } };
  }
}
