// POST /chat/completions, the request: from a body to a call, and what must hold between its fields.
// Source: openai-openapi 2.3.0, `CreateChatCompletionRequest`, read 2026-11-21, and recorded refusals.

import { type ChatMessage, ChatRequest } from "./chat.ts";
import { nameOfTool } from "./chat-tools.ts";
import { ApiError } from "./errors.ts";
import { createParser } from "./validate.ts";

const parseShape = createParser(ChatRequest);

/**
 * @param body a JSON object; fields we do not know are ignored, as gateways' users send many
 * @throws ApiError naming the first bad field
 */
export function parseChatRequest(body: Record<string, unknown>): ChatRequest {
  const call = parseShape(body);
  refuseContradictions(call);
  refuseOddParameters(call);
  refuseOrphanToolMessages(call.messages);
  return call;
}

function refuseContradictions(call: ChatRequest): void {
  if (call.stream_options && !call.stream) {
    throw contradiction("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  }
  if (call.top_logprobs !== undefined && !call.logprobs) {
    throw contradiction("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs");
  }
  if (call.max_tokens !== undefined && call.max_completion_tokens !== undefined) {
    throw contradiction("Set 'max_tokens' or 'max_completion_tokens', not both.", "max_tokens");
  }
  if (call.functions && call.tools) {
    throw contradiction("Set 'tools' or the older 'functions', not both.", "functions");
  }
  if (call.function_call !== undefined && !call.functions) {
    throw contradiction("'function_call' is only allowed when 'functions' are specified.", "function_call");
  }
  if (call.tool_choice !== undefined && !call.tools) {
    throw contradiction("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice");
  }
  for (const name of chosenNames(call)) {
    const known = call.functions ?? call.tools?.map((tool) => (tool.type === "function" ? tool.function : tool.custom));
    if (known?.some((tool) => tool.name === name)) continue;
    const param = call.functions ? "function_call" : "tool_choice";
    throw contradiction(
      `'${param}' names '${name.slice(0, 64)}', which is not among the ${call.functions ? "functions" : "tools"}.`,
      param,
    );
  }
}

function contradiction(text: string, param: string): ApiError {
  return new ApiError("invalid_combination", text, { param });
}

/** Arguments are an object, so a schema for anything else means nothing. */
function refuseOddParameters(call: ChatRequest): void {
  if (!call.functions && !call.tools) return;
  const functions =
    call.functions ?? call.tools?.map((tool) => (tool.type === "function" ? tool.function : null)) ?? [];
  for (const [index, each] of functions.entries()) {
    const type = each?.parameters?.type;
    if (type === undefined || type === "object") continue;
    const param = call.functions ? `functions[${index}].parameters` : `tools[${index}].function.parameters`;
    const text = `Invalid schema for function '${each!.name}': schema must be a JSON Schema of 'type: "object"'.`;
    throw new ApiError("invalid_function_parameters", text, { param });
  }
}

/** The tools that `tool_choice` or `function_call` names. */
function chosenNames(call: ChatRequest): string[] {
  const choice = call.tool_choice;
  if (typeof call.function_call === "object") return [call.function_call.name];
  if (typeof choice !== "object") return [];
  if (choice.type === "function") return [choice.function.name];
  if (choice.type === "custom") return [choice.custom.name];
  return choice.allowed_tools.tools.map((tool) => nameOfTool(tool));
}

/** A tool's result needs the call it answers, and a call needs its results before anybody else speaks. */
function refuseOrphanToolMessages(messages: ChatMessage[]): void {
  // In most calls there are no tools.
  if (!messages.some(isAboutTools)) return;
  let open = new Set<string>();
  let answered = new Set<string>();
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      if (!open.has(message.tool_call_id) && !answered.has(message.tool_call_id)) {
        throw outOfOrder(
          index,
          "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        );
      }
      open.delete(message.tool_call_id);
      answered.add(message.tool_call_id);
      continue;
    }
    if (open.size > 0) throw outOfOrder(index, unansweredText(open));
    if (message.role === "assistant" && message.tool_calls) {
      open = new Set(message.tool_calls.map((call) => call.id));
      answered = new Set();
    }
  }
  if (open.size > 0) throw outOfOrder(messages.length - 1, unansweredText(open));
}

function isAboutTools(message: ChatMessage): boolean {
  return message.role === "tool" || (message.role === "assistant" && message.tool_calls !== undefined);
}

function outOfOrder(index: number, text: string): ApiError {
  return contradiction(text, `messages.[${index}].role`);
}

function unansweredText(open: Set<string>): string {
  const ids = [...open].map((id) => id.slice(0, 64)).join(", ");
  return `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${ids}`;
}
