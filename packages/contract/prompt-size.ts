// How many tokens a prompt can have at most, without a tokenizer at hand: no tokenizer makes more tokens of a text than it
// has bytes. Most prompts are so far below a plan's cap that this is all there is to know of them.

import { type ChatMessage, type ChatRequest, textOf } from "./chat.ts";
import { type CompletionRequest, promptsOf } from "./completions.ts";
import { type EmbeddingRequest, inputsOf } from "./embeddings.ts";

/**
 * Not below what `usage.prompt_tokens` will say. Images, audio and files are left out: what they cost is the model's secret.
 */
export function chatTokensBound(call: ChatRequest): number {
  let bound = TEMPLATE_TOKENS + JSON_TOKENS * (bytesOfJson(call.tools) + bytesOfJson(call.functions));
  if (call.response_format?.type === "json_schema") bound += JSON_TOKENS * bytesOfJson(call.response_format);
  for (const message of call.messages) bound += MESSAGE_TOKENS + bytesOfMessage(message);
  return bound;
}

/** The same for the older endpoint, all its prompts together. */
export function completionTokensBound(call: CompletionRequest): number {
  const suffix = bytesOf(call.suffix ?? "");
  return promptsOf(call).reduce((sum, prompt) => sum + MESSAGE_TOKENS + suffix + sizeOf(prompt), 0);
}

/** The same for texts that become vectors: special tokens stand around each. */
export function embeddingTokensBound(call: EmbeddingRequest): number {
  return inputsOf(call).reduce((sum, input) => sum + MESSAGE_TOKENS + sizeOf(input), 0);
}

/** What templates write by themselves: a system message of their own, a date, how to call tools. */
const TEMPLATE_TOKENS = 512;
/** What surrounds a message: marks of its beginning and end, and the role. */
const MESSAGE_TOKENS = 16;
/** Templates write JSON with spaces and line ends that it came without. */
const JSON_TOKENS = 2;

function bytesOfMessage(message: ChatMessage): number {
  let bytes = bytesOf(textOf(message.content));
  if ("name" in message) bytes += bytesOf(message.name ?? "");
  if (message.role === "tool") bytes += bytesOf(message.tool_call_id);
  if (message.role !== "assistant") return bytes;
  bytes += bytesOf(message.reasoning_content ?? "") + bytesOf(message.refusal ?? "");
  return bytes + JSON_TOKENS * (bytesOfJson(message.tool_calls) + bytesOfJson(message.function_call));
}

function sizeOf(prompt: string | number[]): number {
  return typeof prompt === "string" ? bytesOf(prompt) : prompt.length;
}

function bytesOfJson(value: unknown): number {
  return value === undefined || value === null ? 0 : bytesOf(JSON.stringify(value));
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}
