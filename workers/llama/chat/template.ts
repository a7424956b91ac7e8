// From messages to the prompt text, through the chat template that the model's file brings.

import type { ChatMessage, FunctionDefinition } from "@oxbow/contract";
import type { Family } from "./families.ts";

export interface RenderOptions {
  /** The tools that the model shall see: none when the caller's tool choice is `none`. */
  tools: FunctionDefinition[];
  reasoningEffort?: string | undefined;
  /** Further variables of the template. */
  extra?: Record<string, unknown> | undefined;
}

export interface ChatTemplate {
  readonly family: Family;
  /** @throws ApiError when the template refuses these messages */
  render(messages: ChatMessage[], options: RenderOptions): string;
}

/**
 * @param source Jinja text from `tokenizer.chat_template`; empty when the file has none
 * @throws Error when the template cannot be parsed
 */
export function createChatTemplate(_source: string, _tokens: { bos: string; eos: string }): ChatTemplate {
  throw new Error("under construction");
}
