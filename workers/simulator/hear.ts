// POST /v1/audio/transcriptions and /v1/audio/translations: reads how long the recording is, and says a fixed text as long
// as a speaker would need for it, word by word.

import { BadAudio, measure } from "@oxbow/audio";
import {
  corruptedAudio,
  type Form,
  languageOf,
  needsOfTranscription,
  needsOfTranslation,
  parseTranscriptionForm,
  parseTranslationForm,
  recordingOf,
  refuseNeeds,
  type Transcript,
  type TranscriptionRequest,
  type TranscriptWord,
  transcriptEvents,
  writeTranscript,
} from "@oxbow/contract";
import { type Ask, featuresOf } from "./ask.ts";
import { type Answer, respond, Written } from "./respond.ts";
import { encode } from "./tokenizer.ts";

const WORDS =
  "This is a simulated transcript. Nobody has listened to the recording, but its length is true, and so are the times of these words.".split(
    " ",
  );
/** Of a calm speaker. */
const SECONDS_PER_WORD = 0.4;
/** What Whisper makes of a second. */
const AUDIO_TOKENS_PER_SECOND = 50;

export interface Hearing extends Omit<Ask, "body" | "wantsUsage"> {
  form: Form;
  path: string;
}

export async function hear({ form, path, model, engine, simulation, signal }: Hearing): Promise<Response> {
  const task = path.endsWith("translations") ? "translate" : "transcribe";
  const call: TranscriptionRequest = task === "translate" ? parseTranslationForm(form) : parseTranscriptionForm(form);
  const recording = recordingOf(form);
  refuseNeeds(task === "translate" ? needsOfTranslation() : needsOfTranscription(call), featuresOf(model), model.id);
  const known = model.transcription?.languages;
  const language = known ? languageOf(call, known) : (call.language ?? null);
  const { seconds } = await measure(recording.bytes).catch((error: unknown) => {
    throw error instanceof BadAudio ? corruptedAudio(error) : error;
  });
  const transcript = invent(seconds, task, language ?? "en", call.temperature ?? 0);
  const unlimited = { id: model.id, contextTokens: Number.MAX_SAFE_INTEGER };
  const job = await engine.admit({ model: unlimited, prompts: [], tokensMax: 1, body: {}, simulation, signal });
  const output = encode(transcript.text).length;
  const counts = {
    text: encode(call.prompt ?? "").length,
    audio: Math.ceil(seconds * AUDIO_TOKENS_PER_SECOND),
    output,
  };
  const words = transcript.text === "" ? [] : transcript.text.split(/(?<= )/);
  function* events(): Generator<string> {
    for (const word of words) yield transcriptEvents.delta(word);
    yield transcriptEvents.done(transcript.text, counts);
  }
  const answer: Answer = {
    stream: call.stream ?? false,
    steps: call.stream ? words.length : output,
    events,
    whole() {
      const format = call.response_format ?? "json";
      const { body, contentType } = writeTranscript(transcript, format, granularitiesOf(call));
      return new Written(body, contentType);
    },
    end: "",
    finish: "stop",
    usage: { prompt_tokens: counts.text + counts.audio, completion_tokens: output },
    wantsUsage: false,
  };
  return respond(answer, job, simulation.fault ?? null);
}

function granularitiesOf(call: TranscriptionRequest) {
  return call.timestamp_granularities ?? (["segment"] as const);
}

/** As many words as fit into the recording, and at least one. */
function invent(duration: number, task: Transcript["task"], language: string, temperature: number): Transcript {
  const count = Math.max(1, Math.floor(duration / SECONDS_PER_WORD));
  const each = Math.min(SECONDS_PER_WORD, duration / count);
  const at = (index: number) => Math.round(index * each * 100) / 100;
  const words = Array.from({ length: count }, (_, index): TranscriptWord => {
    return { word: WORDS[index % WORDS.length]!, start: at(index), end: at(index + 1) };
  });
  const segments: Transcript["segments"] = [];
  for (let from = 0; from < count; ) {
    const sentence = words.findIndex(({ word }, index) => index >= from && word.endsWith(".")) + 1 || count;
    const text = textOf(words.slice(from, sentence));
    segments.push({
      id: segments.length,
      seek: Math.floor(words[from]!.start / 30) * 3000,
      start: words[from]!.start,
      end: words[sentence - 1]!.end,
      text: ` ${text}`,
      tokens: encode(text),
      temperature,
      avg_logprob: -0.2,
      compression_ratio: 1.2,
      no_speech_prob: 0.01,
    });
    from = sentence;
  }
  return { task, language, duration, text: textOf(words), segments, words };
}

function textOf(words: readonly TranscriptWord[]): string {
  return words.map(({ word }) => word).join(" ");
}
