// What an imitated engine says otherwise than the wire has it: its errors, its words for a prompt that does not fit, and
// the keys of its chat answers. So whoever relays such an engine can be tried out on one.
// Sources: vLLM, `vllm/entrypoints/openai/protocol.py`, its error handlers and issue 49116 (transcripts); SGLang,
// `python/sglang/srt/entrypoints/openai/protocol.py`; and what their users report; read 2026-11-21.

import { type ApiError, SSE_DONE, sseEvent } from "@oxbow/contract";
import type { SimulatorOptions } from "./options.ts";

type Json = Record<string, unknown>;

interface Clothes {
  error(message: string, error: ApiError): Json;
  tooLong(contextTokens: number, promptTokens: number): string;
  /** Changes the message of a whole answer, or the delta of a chunk, in place. */
  message(message: Json): void;
  delta(delta: Json): void;
}

const TYPES: Record<number, string> = { 400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError" };

const CLOTHES: Record<Exclude<SimulatorOptions["dress"], "plain">, Clothes> = {
  vllm: {
    error: (message, { kind, param }) => ({
      error: { message, type: TYPES[kind.status] ?? "InternalServerError", param, code: kind.status },
    }),
    tooLong: (context, prompt) =>
      `This model's maximum context length is ${context} tokens. However, your request has ${prompt} input tokens. Please reduce the length of the input messages.`,
    message(message) {
      message.tool_calls ??= [];
      renameReasoning(message);
    },
    delta(delta) {
      renameReasoning(delta);
      // A call begins with its name alone.
      for (const call of (delta.tool_calls ?? []) as { function?: Json }[]) {
        if (call.function?.name !== undefined && call.function.arguments === "") delete call.function.arguments;
      }
    },
  },
  sglang: {
    error: (message, { kind, param }) => ({
      object: "error",
      message,
      type: TYPES[kind.status]?.replace("Error", "") ?? "InternalServerError",
      param,
      code: kind.status,
    }),
    tooLong: (context, prompt) =>
      `The input (${prompt} tokens) is longer than the model's context length (${context} tokens).`,
    message(message) {
      message.reasoning_content ??= null;
      message.tool_calls ??= null;
    },
    delta(delta) {
      for (const key of ["role", "content", "reasoning_content", "tool_calls"]) delta[key] ??= null;
    },
  },
};

function renameReasoning(part: Json): void {
  if (!("reasoning_content" in part)) return;
  part.reasoning = part.reasoning_content;
  delete part.reasoning_content;
}

/** The body of an error, as the engine of this dress writes it; null: as the contract has it. */
export function dressedError(dress: SimulatorOptions["dress"], error: ApiError): Json | null {
  if (dress === "plain") return null;
  const clothes = CLOTHES[dress];
  const told = error.cause as Partial<Record<"contextTokens" | "promptTokens", number>> | undefined;
  const tooLong = error.row === "context_length_exceeded" && told?.contextTokens !== undefined;
  return clothes.error(tooLong ? clothes.tooLong(told.contextTokens!, told.promptTokens ?? 0) : error.message, error);
}

/** A chat answer, whole or streamed, in this dress. What a fault makes of it stays broken. */
export function dressedChat(dress: SimulatorOptions["dress"], response: Response): Response {
  if (dress === "plain" || !response.ok || response.body === null) return response;
  const clothes = CLOTHES[dress];
  const { status, headers } = response;
  const streams = headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  return new Response(response.body.pipeThrough(streams ? eventsIn(clothes) : wholeIn(clothes)), { status, headers });
}

function eventsIn(clothes: Clothes): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return new TransformStream({
    transform: (piece, controller) => controller.enqueue(encoder.encode(dressedEvents(decoder.decode(piece), clothes))),
  });
}

/** Of an answer that is cut nothing comes. */
function wholeIn(clothes: Clothes): TransformStream<Uint8Array, Uint8Array> {
  const pieces: Uint8Array[] = [];
  return new TransformStream({
    transform: (piece) => void pieces.push(piece),
    flush: (controller) => controller.enqueue(new TextEncoder().encode(dressedWhole(Buffer.concat(pieces), clothes))),
  });
}

function dressedWhole(bytes: Buffer, clothes: Clothes): string {
  try {
    const answer = JSON.parse(bytes.toString()) as { choices: { message: Json }[] };
    for (const { message } of answer.choices) clothes.message(message);
    return JSON.stringify(answer);
  } catch {
    return bytes.toString(); // made to be broken
  }
}

/** A transcript that is streamed, in this dress: vLLM sends chunks as of a chat, and `[DONE]` behind them. */
export function dressedTranscript(dress: SimulatorOptions["dress"], response: Response, model: string): Response {
  const { status, headers, body } = response;
  if (dress !== "vllm" || body === null || !headers.get("content-type")?.startsWith("text/event-stream")) {
    return response;
  }
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  const head = { id: "trsc-simulated", object: "transcription.chunk", created: 0, model };
  const chunk = (choice: Json) => sseEvent({ ...head, choices: [choice] });
  const dressing = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      const text = decoder.decode(piece).replace(/^data: (\{"type".*\})\n\n/gm, (line, json: string) => {
        const event = JSON.parse(json) as { type: string; delta?: string };
        if (event.type === "transcript.text.delta") return chunk({ delta: { content: event.delta } });
        if (event.type !== "transcript.text.done") return line;
        return chunk({ delta: { content: "" }, finish_reason: "stop", stop_reason: null }) + SSE_DONE;
      });
      controller.enqueue(encoder.encode(text));
    },
  });
  return new Response(body.pipeThrough(dressing), { status, headers });
}

/** Pieces are whole events, but for those of a fault, which stay as they are. */
function dressedEvents(text: string, clothes: Clothes): string {
  return text.replace(/^data: (\{"id".*\})$/gm, (line, json: string) => {
    try {
      const chunk = JSON.parse(json) as { choices: { delta: Json }[] };
      for (const { delta } of chunk.choices) clothes.delta(delta);
      return `data: ${JSON.stringify(chunk)}`;
    } catch {
      return line; // made to be broken
    }
  });
}
