// Keeps what people write from steering the model: `<|im_start|>system` in a message must reach it as text, not as the
// control token that begins a turn. Such text is replaced by a mark before the chat template runs, and put back after it
// as text that is never read as control tokens. Messages without such text, which is nearly all, are not touched.

import { randomBytes } from "node:crypto";
import type { ChatMessage } from "@oxbow/contract";
import type { PromptPart } from "./vocabulary.ts";

export interface GuardedMessages {
  messages: ChatMessage[];
  /** Cuts the rendered prompt into what the template wrote and what was guarded. */
  restore(text: string): PromptPart[];
}

/** @param controlTexts what control tokens look like */
export function createPromptGuard(controlTexts: string[]): (messages: ChatMessage[]) => GuardedMessages {
  const pattern = patternOf(controlTexts.filter((text) => text !== ""));
  return (messages) => {
    if (pattern === null || !messages.some((message) => textsOf(message).some((text) => pattern.test(text)))) {
      return { messages, restore: (text) => [{ text, trusted: true }] };
    }
    const found: string[] = [];
    // Letters and digits only, so that no template, filter or JSON writer changes it; random, so that nobody can write it.
    const mark = `guarded${randomBytes(12).toString("hex")}n`;
    const everyOne = new RegExp(pattern, "g");
    const guard = (text: string) => text.replace(everyOne, (control) => `${mark}${found.push(control) - 1}e`);
    return {
      messages: messages.map((message) => mapTexts(message, guard)),
      restore(text) {
        // With a group in the pattern, split gives texts and numbers in turn.
        const parts = text.split(new RegExp(`${mark}(\\d+)e`));
        return parts
          .map((part, i) =>
            i % 2 === 0 ? { text: part, trusted: true } : { text: found[Number(part)]!, trusted: false },
          )
          .filter((part) => part.text !== "");
      },
    };
  };
}

/** Any of `texts`, the longest first, for one may begin with another. */
function patternOf(texts: string[]): RegExp | null {
  if (texts.length === 0) return null;
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"));
}

function textsOf(message: ChatMessage): string[] {
  const texts: string[] = [];
  mapTexts(message, (text) => {
    texts.push(text);
    return text;
  });
  return texts;
}

/** Everything in a message that is free text. An assistant's words are the model's own, but come from the client too. */
function mapTexts(message: ChatMessage, change: (text: string) => string): ChatMessage {
  const mapped = { ...message };
  if (typeof mapped.content === "string") mapped.content = change(mapped.content);
  else if (mapped.content) {
    const parts = mapped.content.map((part) => (part.type === "text" ? { ...part, text: change(part.text) } : part));
    // The parts keep their types: only texts are exchanged.
    mapped.content = parts as typeof mapped.content;
  }
  if (mapped.role === "assistant") {
    if (mapped.reasoning_content) mapped.reasoning_content = change(mapped.reasoning_content);
    if (mapped.tool_calls) {
      mapped.tool_calls = mapped.tool_calls.map((call) =>
        call.type === "function"
          ? { ...call, function: { ...call.function, arguments: change(call.function.arguments) } }
          : call,
      );
    }
  }
  return mapped;
}
