// From a Responses request to the chat request that engines understand. What is said about that one goes back through
// responses-names.ts.

import type { ChatRequest } from "./chat.ts";
import { parseChatRequest } from "./chat-parse.ts";
import { LOGPROBS, type ResponsesCall, type TextFormat } from "./responses.ts";
import { messagesOf, type PlacedMessage } from "./responses-messages.ts";

export interface ChatTranslation {
  chat: ChatRequest;
  /** Where in the caller's request each message of `chat` comes from: `instructions`, `input[2]`. */
  paths: string[];
}

/**
 * @param model the id that engines know it by
 * @throws ApiError for calls without results and results without calls, and for a `tool_choice` that contradicts `tools`
 */
export function toChat(call: ResponsesCall, model: string): ChatTranslation {
  const placed: PlacedMessage[] = messagesOf(call.input);
  if (call.instructions !== undefined) {
    placed.unshift({ path: "instructions", message: { role: "system", content: call.instructions } });
  }
  const chat: Record<string, unknown> = {
    model,
    messages: placed.map(({ message }) => message),
    max_completion_tokens: call.max_output_tokens,
    temperature: call.temperature,
    top_p: call.top_p,
    presence_penalty: call.presence_penalty,
    frequency_penalty: call.frequency_penalty,
    reasoning_effort: call.reasoning?.effort ?? undefined,
    verbosity: call.text?.verbosity ?? undefined,
    // By it calls are kept on the engine that knows their prompt.
    prompt_cache_key: call.prompt_cache_key ?? undefined,
    response_format: responseFormatOf(call.text?.format),
    ...logprobsOf(call),
    ...toolsOf(call),
    ...(call.stream ? { stream: true, stream_options: { include_usage: true, ...call.stream_options } } : {}),
  };
  for (const name in chat) if (chat[name] === undefined) delete chat[name];
  return { chat: parseChatRequest(chat), paths: placed.map(({ path }) => path) };
}

function logprobsOf({ include, top_logprobs }: ResponsesCall): Partial<ChatRequest> {
  return include?.includes(LOGPROBS) ? { logprobs: true, top_logprobs: top_logprobs ?? 0 } : {};
}

function responseFormatOf(format: TextFormat | null | undefined): ChatRequest["response_format"] {
  if (format?.type !== "json_schema") return format ?? undefined;
  const { name, description, schema, strict } = format;
  return { type: "json_schema", json_schema: { name, description, schema, strict } };
}

function toolsOf({ tools = [], tool_choice: choice, parallel_tool_calls }: ResponsesCall): Partial<ChatRequest> {
  // Without tools these two say nothing, and SDKs send them all the same.
  if (tools.length === 0 && (choice === "auto" || choice === "none")) return {};
  return {
    ...(tools.length > 0 ? { tools: tools.map(({ type, ...definition }) => ({ type, function: definition })) } : {}),
    tool_choice: toolChoiceOf(choice),
    parallel_tool_calls: tools.length > 0 ? parallel_tool_calls : undefined,
  };
}

function toolChoiceOf(choice: ResponsesCall["tool_choice"]): ChatRequest["tool_choice"] {
  if (typeof choice !== "object") return choice;
  const named = ({ name }: { name: string }) => ({ type: "function" as const, function: { name } });
  if (choice.type === "function") return named(choice);
  return { type: "allowed_tools", allowed_tools: { mode: choice.mode, tools: choice.tools.map(named) } };
}
