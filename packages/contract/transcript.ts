// What comes out of a recording, and the five forms in which it is answered, and the events of a stream.
// Source: openai-openapi 2.3.0, `CreateTranscriptionResponse…` and `TranscriptText…Event`, read 2026-11-21; WebVTT: W3C,
// 2019; SubRip has no standard: a number, a line of times with commas, the text, an empty line.

import { sseEvent } from "./sse.ts";
import { type Granularity, languageName, type TranscriptFormat } from "./transcription.ts";

/** Times are seconds from the start of the recording. */
export interface Transcript {
  task: "transcribe" | "translate";
  /** ISO 639-1 code of what is spoken. */
  language: string;
  /** Seconds. */
  duration: number;
  text: string;
  segments: TranscriptSegment[];
  /** There when words were asked for. */
  words: TranscriptWord[] | null;
}

export interface TranscriptSegment {
  id: number;
  /** Where the window begins that it was heard in, in hundredths of a second. */
  seek: number;
  start: number;
  end: number;
  text: string;
  tokens: number[];
  temperature: number;
  avg_logprob: number;
  compression_ratio: number;
  no_speech_prob: number;
}

export interface TranscriptWord {
  word: string;
  start: number;
  end: number;
}

export interface TranscriptTokens {
  /** Of the prompt. */
  text: number;
  /** Of the recording. */
  audio: number;
  output: number;
}

/** The answer's body and content type. @param granularities of `verbose_json` */
export function writeTranscript(
  transcript: Transcript,
  format: TranscriptFormat,
  granularities: readonly Granularity[] = ["segment"],
): { body: string; contentType: string } {
  const { task, text, segments } = transcript;
  switch (format) {
    case "text":
      return { body: `${text}\n`, contentType: TEXT };
    case "srt":
      return { body: segments.map((each, index) => `${index + 1}\n${cueOf(each, ",")}`).join(""), contentType: TEXT };
    case "vtt":
      return { body: `WEBVTT\n\n${segments.map((each) => cueOf(each, ".")).join("")}`, contentType: TEXT };
    case "verbose_json":
      return { body: JSON.stringify(verboseOf(transcript, granularities)), contentType: JSON_TYPE };
    default: {
      const usage = task === "transcribe" ? { usage: usageOf(transcript) } : {};
      return { body: JSON.stringify({ text, ...usage }), contentType: JSON_TYPE };
    }
  }
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";

function verboseOf(transcript: Transcript, granularities: readonly Granularity[]): object {
  const { task, language, duration, text, segments, words } = transcript;
  return {
    task,
    language: languageName(language),
    duration: round(duration),
    text,
    ...(granularities.includes("word") && { words: words ?? [] }),
    ...(granularities.includes("segment") && { segments }),
    ...(task === "transcribe" && { usage: usageOf(transcript) }),
  };
}

/** Recordings are charged by the second that has begun. */
function usageOf({ duration }: Transcript): { type: "duration"; seconds: number } {
  return { type: "duration", seconds: Math.ceil(duration) };
}

function cueOf({ start, end, text }: TranscriptSegment, point: "," | "."): string {
  // An arrow or an empty line inside the text would end the cue.
  const safe = text
    .trim()
    .replaceAll("-->", "->")
    .replace(/\s*\n\s*/g, "\n");
  return `${clock(start, point)} --> ${clock(end, point)}\n${safe}\n\n`;
}

function clock(seconds: number, point: "," | "."): string {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const whole = `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}`;
  return `${whole}${point}${String(ms % 1000).padStart(3, "0")}`;
}

/** To the hundredth of a second: no model hears finer. */
function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

function tokensOf({ text, audio, output }: TranscriptTokens) {
  return {
    type: "tokens",
    input_tokens: text + audio,
    input_token_details: { text_tokens: text, audio_tokens: audio },
    output_tokens: output,
    total_tokens: text + audio + output,
  };
}

/** The events of a transcript that is streamed. */
export const transcriptEvents = {
  delta: (delta: string) => sseEvent({ type: "transcript.text.delta", delta }),
  /** @param tokens null: nobody has counted them */
  done: (text: string, tokens: TranscriptTokens | null) =>
    sseEvent({ type: "transcript.text.done", text, ...(tokens && { usage: tokensOf(tokens) }) }),
};
