// POST /v1/audio/transcriptions and /v1/audio/translations: the request, which comes as a form with a recording.
// Source: openai-openapi 2.3.0, `CreateTranscriptionRequest` and `CreateTranslationRequest`, read 2026-11-21, and recorded
// refusals.

import Type, { type Static } from "typebox";
import { ApiError } from "./errors.ts";
import { bodyOfForm, type Form, type FormFile } from "./form.ts";
import type { Need } from "./support.ts";
import { createParser } from "./validate.ts";

/** Of a form with a recording, all of it. Source: the API reference, and a recorded 413. */
export const AUDIO_FORM_BYTES_MAX = 26_214_400;

const Format = Type.Enum(["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]);
const Temperature = Type.Number({ minimum: 0, maximum: 1 });

export const TranscriptionRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  language: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })),
  languages: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
  keywords: Type.Optional(Type.Array(Type.String())),
  prompt: Type.Optional(Type.String()),
  response_format: Type.Optional(Format),
  temperature: Type.Optional(Temperature),
  include: Type.Optional(Type.Array(Type.Enum(["logprobs"]))),
  timestamp_granularities: Type.Optional(Type.Array(Type.Enum(["word", "segment"]))),
  stream: Type.Optional(Type.Boolean()),
  chunking_strategy: Type.Optional(
    Type.Union([Type.Literal("auto"), Type.Object({ type: Type.Literal("server_vad") })]),
  ),
  known_speaker_names: Type.Optional(Type.Array(Type.String(), { maxItems: 4 })),
  known_speaker_references: Type.Optional(Type.Array(Type.String(), { maxItems: 4 })),
});
export type TranscriptionRequest = Static<typeof TranscriptionRequest>;
export type TranscriptFormat = NonNullable<TranscriptionRequest["response_format"]>;
export type Granularity = NonNullable<TranscriptionRequest["timestamp_granularities"]>[number];

export const TranslationRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  prompt: Type.Optional(Type.String()),
  response_format: Type.Optional(Type.Enum(["json", "text", "srt", "verbose_json", "vtt"])),
  temperature: Type.Optional(Temperature),
});
export type TranslationRequest = Static<typeof TranslationRequest>;

const parseTranscription = createParser(TranscriptionRequest);
const parseTranslation = createParser(TranslationRequest);

/** @throws ApiError naming the first bad field */
export function parseTranscriptionForm(form: Form): TranscriptionRequest {
  const call = parseTranscription(bodyOfForm(form, TranscriptionRequest));
  const { response_format: format = "json" } = call;
  if (call.timestamp_granularities && format !== "verbose_json") {
    throw clash("'timestamp_granularities' needs 'response_format' to be 'verbose_json'.", "timestamp_granularities");
  }
  if (call.include && format !== "json") {
    throw clash("'include' needs 'response_format' to be 'json'.", "include");
  }
  if (call.stream && format !== "json" && format !== "text") {
    throw clash(`A transcript in the format '${format}' cannot be streamed: use 'json' or 'text'.`, "response_format");
  }
  return call;
}

/** @throws ApiError naming the first bad field */
export function parseTranslationForm(form: Form): TranslationRequest {
  const body = bodyOfForm(form, Type.Object({ ...TranslationRequest.properties, stream: Type.Boolean() }));
  if (body.stream === true) throw clash("A translation cannot be streamed.", "stream");
  return parseTranslation(body);
}

function clash(text: string, param: string): ApiError {
  return new ApiError("invalid_combination", text, { param });
}

/** What a recording may be called. Source: the API reference; `oga` and `opus` are ogg by other names. */
const AUDIO_EXTENSIONS = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "opus", "wav", "webm"];

/**
 * The recording of a form. What it is follows from its bytes; its name is only held against the list of extensions when it
 * has one.
 *
 * @throws ApiError `missing_required_parameter`, `invalid_type`, `unsupported_value`, `invalid_value` for an empty file
 */
export function recordingOf({ fields, files }: Form): FormFile {
  const [file, ...more] = files.filter(({ name }) => name === "file");
  if (!file) {
    const asText = fields.has("file");
    const text = asText
      ? "Invalid type for 'file': expected a file, but got a string instead."
      : "Missing required parameter: 'file'.";
    throw new ApiError(asText ? "invalid_type" : "missing_required_parameter", text, { param: "file" });
  }
  if (more.length > 0) throw clash("Send one 'file' in a call.", "file");
  const extension = /\.([A-Za-z0-9]{1,12})$/.exec(file.filename)?.[1]?.toLowerCase();
  if (extension !== undefined && !AUDIO_EXTENSIONS.includes(extension)) {
    const text = `Unsupported file format ${extension}. Supported formats: ${AUDIO_EXTENSIONS.join(", ")}.`;
    throw new ApiError("unsupported_value", text, { param: "file" });
  }
  if (file.bytes.length === 0) throw new ApiError("invalid_value", "The audio file is empty.", { param: "file" });
  return file;
}

/**
 * The language of `known` that a call names, by its code or in English: `de`, `de-AT`, `german`.
 * @returns null where the call names none
 * @throws ApiError `invalid_value` for one that is not known
 */
export function languageOf({ language }: TranscriptionRequest, known: readonly string[]): string | null {
  if (language === undefined) return null;
  const name = language.toLowerCase();
  const found = known.find((code) => code === name || languageName(code) === name || name.startsWith(`${code}-`));
  if (found) return found;
  throw new ApiError("invalid_value", `Invalid language '${language.slice(0, 32)}'. Use an ISO 639-1 code.`, {
    param: "language",
  });
}

const names = new Intl.DisplayNames(["en"], { type: "language" });

/** `english` for `en`: the older answers name languages in words. */
export function languageName(code: string): string {
  try {
    return (names.of(code) ?? code).toLowerCase();
  } catch {
    return code; // no well-formed code: it stands for itself
  }
}

/** What no decoder makes sense of. In the words of a recorded refusal. */
export function corruptedAudio(cause?: unknown): ApiError {
  const text = "Audio file might be corrupted or unsupported";
  return new ApiError("invalid_value", text, { param: "file", cause });
}

export function* needsOfTranscription(call: TranscriptionRequest): Generator<Need> {
  yield { feature: "transcription", param: "model", value: "transcription" };
  if (call.stream) yield { feature: "transcription_stream", param: "stream" };
  if (call.response_format === "diarized_json") {
    yield { feature: "diarization", param: "response_format", value: "'diarized_json'" };
  }
  if (call.known_speaker_names) yield { feature: "diarization", param: "known_speaker_names" };
  if (call.known_speaker_references) yield { feature: "diarization", param: "known_speaker_references" };
  if (call.include) yield { feature: "transcription_logprobs", param: "include", value: "'logprobs'" };
  if (call.timestamp_granularities?.includes("word")) {
    yield { feature: "word_timestamps", param: "timestamp_granularities", value: "'word'" };
  }
  if (call.languages) yield { feature: "keywords", param: "languages" };
  if (call.keywords) yield { feature: "keywords", param: "keywords" };
  // "auto" leaves it to the server, and every server has its way with long recordings.
  if (call.chunking_strategy !== undefined && call.chunking_strategy !== "auto") {
    yield { feature: "chunking", param: "chunking_strategy" };
  }
}

export function* needsOfTranslation(): Generator<Need> {
  yield { feature: "translation", param: "model", value: "translation" };
}
