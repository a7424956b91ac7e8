// Reads the messages of a call: what the simulator needs to answer in a fitting way, and the prompt in tokens.

import { type ChatMessage, type ChatRequest, textOf } from "@oxbow/contract";
import { describeBytes, describeImage } from "./media.ts";
import { encode, MARK } from "./tokenizer.ts";

export interface Conversation {
  /** Text of the last user message. */
  userText: string;
  /** Texts of all system and developer messages. */
  systemText: string;
  /** Results that came in after the last assistant message: what the answer is about, when there are any. */
  results: { name: string; text: string }[];
  /** A sentence for each attachment of the last user message. */
  attachments: string[];
}

/** @throws ApiError `invalid_value` for an attachment that cannot be read */
export function readConversation(messages: ChatMessage[]): Conversation {
  const last = messages.findLastIndex((message) => message.role === "user");
  const user = messages[last];
  return {
    userText: user ? textOf(user.content).toWellFormed() : "",
    systemText: messages
      .filter((message) => message.role === "system" || message.role === "developer")
      .map((message) => textOf(message.content))
      .join("\n"),
    results: resultsOf(messages),
    attachments: user ? attachmentsOf(user, last) : [],
  };
}

function resultsOf(messages: ChatMessage[]): { name: string; text: string }[] {
  const names = new Map<string, string>();
  for (const message of messages) {
    if (message.role !== "assistant") continue;
    for (const call of message.tool_calls ?? []) {
      names.set(call.id, call.type === "function" ? call.function.name : call.custom.name);
    }
  }
  const start = messages.findLastIndex((message) => message.role !== "tool" && message.role !== "function") + 1;
  return messages.slice(start).map((message) => ({
    name:
      message.role === "tool"
        ? (names.get(message.tool_call_id) ?? "tool")
        : message.role === "function"
          ? message.name
          : "",
    text: textOf(message.content).toWellFormed(),
  }));
}

function attachmentsOf(message: ChatMessage, index: number): string[] {
  if (message.role !== "user" || typeof message.content === "string") return [];
  return message.content.flatMap((part, at) => {
    const param = `messages[${index}].content[${at}]`;
    switch (part.type) {
      case "image_url":
        return describeImage(part.image_url.url, `${param}.image_url.url`);
      case "input_audio":
        return describeBytes(`${part.input_audio.format} audio`, part.input_audio.data, `${param}.input_audio.data`);
      case "file":
        if (part.file.file_data) return describeBytes("A file", part.file.file_data, `${param}.file.file_data`);
        return "A file was given by its id; the simulator keeps no files.";
      default:
        return [];
    }
  });
}

/** An attachment counts as this many tokens, whatever its size: real models differ too much to imitate one. */
const ATTACHMENT_TOKENS = 256;

/**
 * The prompt as tokens: each message between marks, then tools and schema, then the mark that the answer follows.
 * Messages come in their order, so a conversation that grows keeps its beginning and the prefix cache finds it.
 */
export function promptTokens(call: ChatRequest): number[] {
  const ids: number[] = [];
  const tools = call.tools ?? call.functions;
  // Tools stand first, as in most chat templates: they stay the same while a conversation grows.
  if (tools) encode(JSON.stringify(tools), ids);
  for (const message of call.messages) {
    ids.push(markOf(message));
    if ("name" in message && message.name) encode(message.name, ids);
    encode(textOf(message.content), ids);
    if (message.role === "user" && typeof message.content !== "string") {
      for (const part of message.content) {
        if (part.type !== "text") for (let at = 0; at < ATTACHMENT_TOKENS; at++) ids.push(MARK.image);
      }
    }
    if (message.role === "assistant") {
      if (message.tool_calls?.length) encode(JSON.stringify(message.tool_calls), ids);
      if (message.function_call) encode(JSON.stringify(message.function_call), ids);
    }
    ids.push(MARK.end);
  }
  if (call.response_format?.type === "json_schema") {
    encode(JSON.stringify(call.response_format.json_schema.schema ?? {}), ids);
  }
  ids.push(MARK.assistant);
  return ids;
}

function markOf(message: ChatMessage): number {
  switch (message.role) {
    case "system":
    case "developer":
      return MARK.system;
    case "user":
      return MARK.user;
    case "assistant":
      return MARK.assistant;
    default:
      return MARK.tool;
  }
}
