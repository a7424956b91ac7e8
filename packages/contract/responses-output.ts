// The output items of a response, built piece by piece. Each step is told as the events of the stream are, in their order:
// an item is added, its part is added, deltas come, and all of it is closed again before the next item begins.
// Source: recorded streams, and openai-openapi 2.3.0, `ResponseStreamEvent`, read 2026-11-21.

import type { TokenLogprob } from "./chat-answer.ts";
import { answerNotUnderstood } from "./engine-failures.ts";
import type { IdPrefix } from "./ids.ts";
import type {
  ItemStatus,
  OutputFunctionCall,
  OutputItem,
  OutputMessage,
  OutputReasoning,
  OutputText,
  ReasoningText,
  SummaryText,
} from "./responses-answer.ts";

/** Takes an event: its type, and its fields but for the sequence number. What is in them may change afterwards. */
export type Emit = (type: string, fields: Record<string, unknown>) => void;

export interface OutputOptions {
  newId: (prefix: IdPrefix) => string;
  /** Whether reasoning goes into the summary of its item. */
  summary: boolean;
  emit: Emit;
}

/** What an open item does with more of itself, and at its end. */
interface OpenItem {
  kind: "message" | "reasoning" | "call";
  /** The call's index in the chat answer. */
  call?: number;
  add(delta: string, more: DeltaFields): void;
  close(status: ItemStatus): void;
}

interface DeltaFields {
  logprobs?: TokenLogprob[];
  /** Padding, where the engine sends it. */
  obfuscation?: string;
}

export function createOutput({ newId, summary, emit }: OutputOptions) {
  const items: OutputItem[] = [];
  let open: OpenItem | null = null;

  function begin<Item extends OutputItem>(
    item: Item,
  ): { where: { item_id: string; output_index: number }; item: Item } {
    close("completed");
    const output_index = items.push(item) - 1;
    emit("response.output_item.added", { output_index, item });
    return { where: { item_id: item.id, output_index }, item };
  }

  function end(item: OutputItem, output_index: number, status: ItemStatus): void {
    item.status = status;
    emit("response.output_item.done", { output_index, item });
  }

  function close(status: ItemStatus): void {
    open?.close(status);
    open = null;
  }

  function openMessage(): OpenItem {
    const { item, where } = begin<OutputMessage>({
      id: newId("msg_"),
      type: "message",
      status: "in_progress",
      role: "assistant",
      content: [],
    });
    const part: OutputText = { type: "output_text", text: "", annotations: [], logprobs: [] };
    const at = { ...where, content_index: 0 };
    emit("response.content_part.added", { ...at, part });
    item.content.push(part);
    return {
      kind: "message",
      add(delta, { logprobs = [], ...more }) {
        part.text += delta;
        part.logprobs.push(...logprobs);
        if (delta !== "") emit("response.output_text.delta", { ...at, delta, logprobs, ...more });
      },
      close(status) {
        emit("response.output_text.done", { ...at, text: part.text, logprobs: part.logprobs });
        emit("response.content_part.done", { ...at, part });
        end(item, where.output_index, status);
      },
    };
  }

  function openReasoning(): OpenItem {
    const { item, where } = begin<OutputReasoning>({
      id: newId("rs_"),
      type: "reasoning",
      status: "in_progress",
      summary: [],
      content: [],
      encrypted_content: null,
    });
    const names = summary ? SUMMARY : CONTENT;
    const part = { type: names.type, text: "" };
    const at = { ...where, [names.index]: 0 };
    emit(`${names.part}.added`, { ...at, part });
    if (summary) item.summary.push(part as SummaryText);
    else item.content.push(part as ReasoningText);
    return {
      kind: "reasoning",
      add(delta, { obfuscation }) {
        part.text += delta;
        emit(`${names.text}.delta`, { ...at, delta, ...(obfuscation === undefined ? {} : { obfuscation }) });
      },
      close(status) {
        emit(`${names.text}.done`, { ...at, text: part.text });
        emit(`${names.part}.done`, { ...at, part });
        end(item, where.output_index, status);
      },
    };
  }

  function openCall(call: number, call_id: string, name: string): OpenItem {
    const { item, where } = begin<OutputFunctionCall>({
      id: newId("fc_"),
      type: "function_call",
      status: "in_progress",
      call_id,
      name,
      arguments: "",
    });
    return {
      kind: "call",
      call,
      add(delta, { obfuscation }) {
        item.arguments += delta;
        const more = obfuscation === undefined ? {} : { obfuscation };
        emit("response.function_call_arguments.delta", { ...where, delta, ...more });
      },
      close(status) {
        emit("response.function_call_arguments.done", { ...where, name, arguments: item.arguments });
        end(item, where.output_index, status);
      },
    };
  }

  return {
    items,
    text(delta: string, more: DeltaFields = {}): void {
      if (open?.kind !== "message") open = openMessage();
      open.add(delta, more);
    },
    reasoning(delta: string, more: DeltaFields = {}): void {
      if (open?.kind !== "reasoning") open = openReasoning();
      open.add(delta, more);
    },
    callStart(call: number, id: string, name: string): void {
      open = openCall(call, id, name);
    },
    /** @throws ApiError `engine_failed` for a call that is not the last begun: items are written one after the other */
    callArguments(call: number, delta: string, more: DeltaFields = {}): void {
      if (open?.call !== call) {
        throw answerNotUnderstood();
      }
      open.add(delta, more);
    },
    /** Log-probabilities of tokens that left no text. */
    silentTokens(logprobs: TokenLogprob[]): void {
      if (open?.kind === "message") open.add("", { logprobs });
    },
    /** Closes the item that is open, if one is. */
    close,
    /** Leaves the open item as far as it came, without an event: something failed. */
    abandon(): void {
      const last = items.at(-1);
      if (open && last) last.status = "incomplete";
      open = null;
    },
  };
}

/** Where reasoning goes, and what its events are called. */
const CONTENT = {
  type: "reasoning_text",
  part: "response.content_part",
  text: "response.reasoning_text",
  index: "content_index",
} as const;
const SUMMARY = {
  type: "summary_text",
  part: "response.reasoning_summary_part",
  text: "response.reasoning_summary_text",
  index: "summary_index",
} as const;
