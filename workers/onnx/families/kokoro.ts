// Speech, the half in the HTTP thread: a text in pieces, each made into sound and written in the format that was asked for,
// and sent before the next one is made.

import { type Encoder, openEncoder } from "@oxbow/audio";
import {
  parseJsonObject,
  parseSpeechRequest,
  refuseUnspeakable,
  SPEECH_TYPES,
  SSE_HEADERS,
  speechEvents,
  voiceOf,
} from "@oxbow/contract";
import { refuseOtherModels, type Served } from "@oxbow/worker";
import type { Host } from "./family.ts";
import type { KokoroInfo, Said, SayAsk } from "./kokoro-jobs.ts";
import { piecesOf } from "./kokoro-text.ts";

/** Samples that the model makes at once: what `output_tokens` counts. */
const FRAME_SAMPLES = 600;

export async function openRoutes({ model, inference, info }: Host): Promise<Served> {
  const { voices } = info as KokoroInfo;
  let characters = 0;

  async function speak(request: Request): Promise<Response> {
    const call = parseSpeechRequest(parseJsonObject(await request.bytes()));
    refuseOtherModels(model, call.model);
    const voice = voiceOf(call, voices);
    refuseUnspeakable(call);
    const texts = piecesOf(call.input);
    const format = call.response_format ?? "mp3";
    const encoder = await openEncoder(format);
    const gone = new AbortController();
    const hangUp = () => gone.abort(new Error("the caller hung up"));
    request.signal.addEventListener("abort", hangUp);
    const pieces = saying(texts, { voice, speed: call.speed ?? 1 }, encoder, gone.signal);
    // The first piece decides about the status.
    const first = await pieces.next();
    characters += call.input.length;
    const isEvents = call.stream_format === "sse";
    const body = streamOf(first, pieces, gone, isEvents);
    return new Response(body, { headers: isEvents ? SSE_HEADERS : { "content-type": SPEECH_TYPES[format] } });
  }

  async function* saying(
    texts: string[],
    how: Omit<SayAsk, "text">,
    encoder: Encoder,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, { phonemes: number; frames: number }> {
    const counts = { phonemes: 0, frames: 0 };
    try {
      for (const text of texts) {
        const said = await inference.run<Said>("say", { text, ...how } satisfies SayAsk, { signal });
        counts.phonemes += said.phonemes;
        counts.frames += Math.ceil(said.samples.length / FRAME_SAMPLES);
        const bytes = await encoder.push(said.samples);
        if (bytes.length > 0) yield bytes;
      }
      const rest = await encoder.end();
      if (rest.length > 0) yield rest;
      return counts;
    } finally {
      // Once, and never while it is at work.
      encoder.close();
    }
  }

  return {
    routes: { "/v1/audio/speech": speak },
    samples: () => [
      { type: "counter", name: "speech_characters_total", help: "Characters that were spoken.", value: characters },
    ],
  };
}

type Counts = { phonemes: number; frames: number };

function streamOf(
  first: IteratorResult<Uint8Array, Counts>,
  pieces: AsyncGenerator<Uint8Array, Counts>,
  gone: AbortController,
  isEvents: boolean,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next: IteratorResult<Uint8Array, Counts> | null = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { value, done } = next ?? (await pieces.next());
          next = null;
          if (!done) {
            controller.enqueue(isEvents ? encoder.encode(speechEvents.delta(value)) : value);
            return;
          }
          if (isEvents) controller.enqueue(encoder.encode(speechEvents.done(value.phonemes, value.frames)));
          controller.close();
        } catch (error) {
          // Who has left gets no error; the others see a stream that breaks off.
          if (!gone.signal.aborted) controller.error(error);
        }
      },
      cancel() {
        gone.abort(new Error("the caller hung up"));
        // What is being made ends first.
        void pieces.return({ phonemes: 0, frames: 0 }).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}
