// Transcripts that a remote engine streams, as OpenAI has them. vLLM began to stream before OpenAI did, in a form of its own:
// chunks as of a chat, one of them with a finish_reason for each stretch of the recording, and `[DONE]` at the end of all.
// What is in the known form already passes as it was written.
// Source: vllm-project/vllm issue 49116 and pull requests 13301, 49119, read 2026-11-21.

import { createSseReader, errorBody, RelayedError, type SseEvent, sseEvent, transcriptEvents } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import { isObject, type Json } from "./json.ts";
import { isError, parse } from "./mending.ts";
import { remoteError } from "./refusals.ts";
import type { Said } from "./said.ts";

const CHUNK = "transcription.chunk";

/** @returns the same answer, with the events of a transcript in it; anything that is no stream as it is */
export function readTranscript(response: Response, said: Said, remote: RemoteKind): Response {
  const { status, headers, body } = response;
  if (!(headers.get("content-type") ?? "").startsWith("text/event-stream") || body === null) return response;
  return new Response(body.pipeThrough(translating(said, remote)), { status, headers });
}

function translating(said: Said, remote: RemoteKind): TransformStream<Uint8Array, Uint8Array> {
  const sse = createSseReader();
  const encoder = new TextEncoder();
  /** Of chunks: all that was said so far. */
  let text: string | null = null;
  let usage: Json | null = null;

  function write({ data }: SseEvent): string {
    // Behind events of the known form it says nothing: their last one has ended the answer.
    if (data.trim() === "[DONE]") return text === null ? "" : transcriptEvents.done(text, countsIn(usage));
    const event = parse(data);
    if (event === null) throw new Error("the engine sent an event that is no JSON object");
    if (isError(event)) return sseEvent(bodyOf(remoteError(event, null, remote, said)));
    if (event.object !== CHUNK) return `data: ${data}\n\n`;
    if (isObject(event.usage)) usage = event.usage;
    const delta = saidIn(event);
    text = (text ?? "") + delta;
    return delta === "" ? "" : transcriptEvents.delta(delta);
  }

  return new TransformStream({
    transform(piece, controller) {
      const out = sse.push(piece).map(write).join("");
      if (out !== "") controller.enqueue(encoder.encode(out));
    },
    flush(controller) {
      const out = sse.end().map(write).join("");
      if (out !== "") controller.enqueue(encoder.encode(out));
    },
  });
}

function saidIn({ choices }: Json): string {
  const first = Array.isArray(choices) ? (choices[0] as { delta?: { content?: unknown } } | undefined) : undefined;
  const content = first?.delta?.content;
  return typeof content === "string" ? content : "";
}

/** Null: it has told nothing that could be believed. */
function countsIn(usage: Json | null): { text: number; audio: number; output: number } | null {
  const { prompt_tokens: input, completion_tokens: output } = usage ?? {};
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  // It does not tell sound and words apart.
  return isCount(input) && isCount(output) ? { text: 0, audio: input as number, output: output as number } : null;
}

function bodyOf(error: Error): object {
  return error instanceof RelayedError ? error.body : errorBody(error as Parameters<typeof errorBody>[0]);
}
