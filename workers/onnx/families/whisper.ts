// Recordings to text, the half in the HTTP thread: reads forms, decodes sound piece by piece, has it heard window after
// window, and writes what was heard in the form that was asked for. A window begins where the last whole segment of the one
// before it ended.

import { BadAudio, decode, measure } from "@oxbow/audio";
import {
  ApiError,
  AUDIO_SECONDS_FIELD,
  corruptedAudio,
  languageOf,
  parseTranscriptionForm,
  parseTranslationForm,
  readWrittenForm,
  recordingOf,
  SSE_HEADERS,
  type Transcript,
  type TranscriptionRequest,
  transcriptEvents,
  writeTranscript,
} from "@oxbow/contract";
import { refuseOtherModels, type Served } from "@oxbow/worker";
import type { Host } from "./family.ts";
import type { HeardWindow, WhisperInfo, WindowAsk } from "./whisper-jobs.ts";
import { SAMPLE_RATE, WINDOW_SAMPLES } from "./whisper-mel.ts";
import { createTextStream } from "./whisper-text.ts";
import { openTokenizer, textOf as textIn } from "./whisper-tokens.ts";

type Task = Transcript["task"];

/** Tokens of sound in a second, as the encoder makes them. */
const AUDIO_TOKENS_PER_SECOND = 50;

export async function openRoutes({ model, folder, inference, info }: Host): Promise<Served> {
  const { languages, tellsWords, translates, promptTokensMax, textTokens } = info as WhisperInfo;
  const tokenizer = openTokenizer(folder);
  const textOf = (tokens: readonly number[]) => textIn(tokenizer, tokens, textTokens);
  let seconds = 0;

  /** @throws ApiError for what the weights cannot do */
  function check(call: TranscriptionRequest, task: Task): void {
    refuseOtherModels(model, call.model);
    if (task === "translate" && !translates) throw unsupported("model", "translation");
    if (call.timestamp_granularities?.includes("word") && !tellsWords) {
      throw unsupported("timestamp_granularities", "'word'");
    }
  }

  function unsupported(param: string, value: string): ApiError {
    const text = `Unsupported value: '${param}' does not support ${value} with the model \`${model.id}\`.`;
    return new ApiError("unsupported_value", text, { param });
  }

  async function hear(request: Request, task: Task): Promise<Response> {
    const form = await readWrittenForm(request);
    const call: TranscriptionRequest = task === "translate" ? parseTranslationForm(form) : parseTranscriptionForm(form);
    const { bytes } = recordingOf(form);
    check(call, task);
    const secondsMax = Number(request.headers.get(AUDIO_SECONDS_FIELD)) || (await secondsOf(bytes));
    const hearing = createHearing(
      call,
      task,
      decode(bytes, { sampleRate: SAMPLE_RATE, secondsMax, signal: request.signal }),
    );
    if (call.stream) return streamed(hearing);
    for await (const _ of hearing.windows(request.signal, () => {})) {
      // each adds to the transcript
    }
    const { transcript } = hearing;
    seconds += transcript.duration;
    const { body, contentType } = writeTranscript(transcript, call.response_format ?? "json", granularities(call));
    return new Response(body, { headers: { "content-type": contentType } });
  }

  function createHearing(call: TranscriptionRequest, task: Task, pieces: AsyncGenerator<Float32Array>) {
    const asked = languages.length === 0 ? null : languageOf(call, languages);
    const words = call.timestamp_granularities?.includes("word") ?? false;
    const given = call.prompt ? tokenizer.encode(` ${call.prompt.trim()}`, { add_special_tokens: false }).ids : [];
    const transcript: Transcript = {
      task,
      language: asked ?? "en",
      duration: 0,
      text: "",
      segments: [],
      words: words ? [] : null,
    };
    const counts = { text: 0, audio: 0, output: 0 };

    /** Hears window after window. @param onToken gets each token as it is chosen, if the call wants a stream */
    async function* windows(signal: AbortSignal, onToken: (token: number) => void) {
      const sound = createBuffer(pieces);
      let prompt = given.slice(-promptTokensMax || given.length);
      if (promptTokensMax === 0) prompt = [];
      let language = asked;
      let at = 0;
      counts.text = prompt.length;
      try {
        for (;;) {
          const { samples, last } = await sound.window();
          if (samples.length === 0 && at > 0) break;
          const ask: WindowAsk = {
            samples,
            last,
            language,
            task,
            prompt,
            temperature: call.temperature ?? 0,
            words,
            report: call.stream === true,
          };
          const heard = await inference.run<HeardWindow>("window", ask, {
            signal,
            onReport: (token) => onToken(token as number),
          });
          language ??= heard.language;
          transcript.language = language;
          add(heard, at);
          counts.output += heard.tokens;
          prompt = [...prompt, ...heard.segments.flatMap(({ tokens }) => tokens)].slice(-Math.max(1, promptTokensMax));
          if (promptTokensMax === 0) prompt = [];
          const step = last ? samples.length : Math.max(1, Math.round(heard.advance * SAMPLE_RATE));
          sound.drop(step);
          at += step / SAMPLE_RATE;
          yield heard;
          if (last) break;
        }
      } finally {
        // However it ends: what decodes may be a program of its own.
        await pieces.return(undefined);
      }
      transcript.duration = sound.seconds();
      transcript.text = transcript.text.trim();
      counts.audio = Math.ceil(transcript.duration * AUDIO_TOKENS_PER_SECOND);
    }

    function add(heard: HeardWindow, offset: number): void {
      const time = (value: number) => Math.round((offset + value) * 1000) / 1000;
      for (const { start, end, tokens, words: found } of heard.segments) {
        const text = textOf(tokens);
        transcript.text += text;
        transcript.segments.push({
          id: transcript.segments.length,
          seek: Math.round(offset * 100),
          start: time(start),
          end: time(end),
          text,
          tokens,
          temperature: heard.temperature,
          avg_logprob: heard.averageLogprob,
          compression_ratio: heard.compressionRatio,
          no_speech_prob: heard.noSpeechProbability,
        });
        for (const each of found ?? []) {
          transcript.words?.push({ word: each.word, start: time(each.start), end: time(each.end) });
        }
      }
    }

    return { transcript, counts, windows };
  }

  function streamed({ transcript, counts, windows }: ReturnType<typeof createHearing>): Response {
    const gone = new AbortController();
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        const text = createTextStream(textOf);
        const say = (delta: string) => {
          if (delta !== "") controller.enqueue(encoder.encode(transcriptEvents.delta(delta)));
        };
        try {
          for await (const _ of windows(gone.signal, (token) => say(text.push(token)))) say(text.flush());
          controller.enqueue(encoder.encode(transcriptEvents.done(transcript.text, counts)));
          seconds += transcript.duration;
          controller.close();
        } catch (error) {
          // A stream without its last event is not taken for finished.
          if (!gone.signal.aborted) controller.error(error);
        }
      },
      cancel: () => gone.abort(),
    });
    return new Response(body, { headers: SSE_HEADERS });
  }

  return {
    routes: {
      "/v1/audio/transcriptions": (request) => hear(request, "transcribe"),
      "/v1/audio/translations": (request) => hear(request, "translate"),
    },
    samples: () => [
      { type: "counter", name: "audio_seconds_total", help: "Seconds of recordings that were heard.", value: seconds },
    ],
  };
}

/** For callers that have not measured. */
async function secondsOf(bytes: Uint8Array): Promise<number> {
  try {
    return (await measure(bytes)).seconds;
  } catch (cause) {
    throw cause instanceof BadAudio ? corruptedAudio(cause) : cause;
  }
}

function granularities(call: TranscriptionRequest) {
  return call.timestamp_granularities ?? (["segment"] as const);
}

/** What has been decoded and not yet been heard to its end. */
function createBuffer(pieces: AsyncGenerator<Float32Array>) {
  let held = new Float32Array(2 * WINDOW_SAMPLES);
  let length = 0;
  let total = 0;
  let ended = false;
  return {
    /** At most 30 s from where the last window ended. `last`: nothing follows them. */
    async window(): Promise<{ samples: Float32Array; last: boolean }> {
      // One sample beyond the window tells that there is more.
      while (!ended && length <= WINDOW_SAMPLES) {
        const { value, done } = await pieces.next();
        if (done) {
          ended = true;
          break;
        }
        if (length + value.length > held.length) {
          const larger = new Float32Array(2 * (length + value.length));
          larger.set(held.subarray(0, length));
          held = larger;
        }
        held.set(value, length);
        length += value.length;
        total += value.length;
      }
      return { samples: held.slice(0, Math.min(length, WINDOW_SAMPLES)), last: ended && length <= WINDOW_SAMPLES };
    },
    drop(samples: number): void {
      held.copyWithin(0, samples, length);
      length = Math.max(0, length - samples);
    },
    seconds: () => total / SAMPLE_RATE,
  };
}
