// POST /v1/audio/speech: request, content types, and the events of a stream.
// Source: openai-openapi 2.3.0, `CreateSpeechRequest` and `SpeechAudio…Event`, read 2026-11-21, and recorded answers.

import Type, { type Static } from "typebox";
import { ApiError } from "./errors.ts";
import { sseEvent } from "./sse.ts";
import type { Need } from "./support.ts";
import { createParser } from "./validate.ts";

/** Unicode code points. */
const SPEECH_CHARACTERS_MAX = 4096;

export const SPEECH_FORMATS = ["mp3", "opus", "aac", "flac", "wav", "pcm"] as const;
export type SpeechFormat = (typeof SPEECH_FORMATS)[number];

/** `pcm` is 24 kHz, 16 bits, little-endian, one channel, without a head; `opus` comes in Ogg (RFC 7845), `aac` as ADTS. */
export const SPEECH_TYPES: Record<SpeechFormat, string> = {
  mp3: "audio/mpeg",
  opus: "audio/ogg",
  aac: "audio/aac",
  flac: "audio/flac",
  wav: "audio/wav",
  pcm: "audio/pcm",
};

export const SpeechRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  input: Type.String({ minLength: 1 }),
  voice: Type.Union([Type.String({ minLength: 1 }), Type.Object({ id: Type.String({ minLength: 1 }) })]),
  instructions: Type.Optional(Type.String({ maxLength: 4096 })),
  response_format: Type.Optional(Type.Enum([...SPEECH_FORMATS])),
  speed: Type.Optional(Type.Number({ minimum: 0.25, maximum: 4 })),
  stream_format: Type.Optional(Type.Enum(["audio", "sse"])),
});
export type SpeechRequest = Static<typeof SpeechRequest>;

const parse = createParser(SpeechRequest);

/** @throws ApiError naming the first bad field; `string_too_long` for an input of more than 4096 characters */
export function parseSpeechRequest(body: Record<string, unknown>): SpeechRequest {
  const call = parse(body);
  const characters = charactersOf(call.input);
  if (characters > SPEECH_CHARACTERS_MAX) {
    const text = `Invalid 'input': string too long. Expected a string with maximum length ${SPEECH_CHARACTERS_MAX}, but got a string with length ${characters} instead.`;
    throw new ApiError("string_too_long", text, { param: "input" });
  }
  return call;
}

/** Unicode code points. */
export function charactersOf(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

export function* needsOfSpeech(call: SpeechRequest): Generator<Need> {
  yield { feature: "speech", param: "model", value: "speech" };
  if (call.instructions !== undefined && call.instructions !== "") {
    yield { feature: "speech_instructions", param: "instructions" };
  }
  if (typeof call.voice !== "string") yield { feature: "custom_voices", param: "voice", value: "an id" };
  if (call.stream_format === "sse") yield { feature: "speech_stream", param: "stream_format", value: "'sse'" };
}

/**
 * The voice of `known` that a call names: by its whole name, or by what stands behind the letters of language and gender,
 * `heart` for `af_heart`.
 *
 * @throws ApiError `unsupported_value`: no such voice
 */
export function voiceOf({ voice }: SpeechRequest, known: readonly string[]): string {
  const asked = typeof voice === "string" ? voice : voice.id;
  const found = known.find((each) => each === asked) ?? known.find((each) => each.slice(3) === asked);
  return found ?? unknownVoice(asked, known);
}

/** Whether there is a letter or a digit in it. */
export function isSpeakable(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text);
}

/** @throws ApiError `invalid_value` for a text of which nobody could say anything */
export function refuseUnspeakable({ input }: SpeechRequest): void {
  if (isSpeakable(input)) return;
  throw new ApiError("invalid_value", "Invalid 'input': there is nothing in it that could be spoken.", {
    param: "input",
  });
}

function unknownVoice(voice: string, known: readonly string[]): never {
  const names = known.map((each) => `'${each}'`).join(", ");
  const text = `Unsupported value: 'voice' does not support '${voice.slice(0, 64)}'. Supported values are: ${names}.`;
  throw new ApiError("unsupported_value", text, { param: "voice" });
}

/** The events of speech that is streamed. Tokens in are characters or phonemes, tokens out are up to the model. */
export const speechEvents = {
  delta: (audio: Uint8Array) =>
    sseEvent({
      type: "speech.audio.delta",
      audio: Buffer.from(audio.buffer, audio.byteOffset, audio.length).toString("base64"),
    }),
  done: (inputTokens: number, outputTokens: number) =>
    sseEvent({
      type: "speech.audio.done",
      usage: { input_tokens: inputTokens, output_tokens: outputTokens, total_tokens: inputTokens + outputTokens },
    }),
};
