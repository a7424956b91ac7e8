// Recordings to text, the half in the inference thread: one window of at most 30 s through the model, cut into segments.

import { deflateSync } from "node:zlib";
import { readJson } from "../weights.ts";
import type { Loaded, Place } from "./family.ts";
import { type Decoded, decodeWindow, findLanguage } from "./whisper-decode.ts";
import { openGraphs } from "./whisper-graphs.ts";
import { createMel, SAMPLE_RATE, WINDOW_S } from "./whisper-mel.ts";
import { openTokenizer, readTokens, SECONDS_PER_TIMESTAMP, textOf as textIn } from "./whisper-tokens.ts";
import { timesOf } from "./whisper-words.ts";

export interface WindowAsk {
  /** At 16 kHz, at most 30 s. */
  samples: Float32Array;
  /** Whether more follows. */
  last: boolean;
  /** ISO 639-1; null: to be found. */
  language: string | null;
  task: "transcribe" | "translate";
  prompt: readonly number[];
  /** 0: with second tries where the first one sounds wrong, unless tokens are reported as they come. */
  temperature: number;
  words: boolean;
  /** Reports each token as it is chosen. */
  report: boolean;
}

/** Times are seconds from the start of the window. */
export interface HeardWindow {
  language: string;
  segments: HeardSegment[];
  temperature: number;
  averageLogprob: number;
  compressionRatio: number;
  noSpeechProbability: number;
  /** Seconds after which the next window begins. */
  advance: number;
  /** Tokens that were chosen. */
  tokens: number;
}

export interface HeardSegment {
  start: number;
  end: number;
  tokens: number[];
  words: { word: string; start: number; end: number }[] | null;
}

export interface WhisperInfo {
  languages: string[];
  tellsWords: boolean;
  translates: boolean;
  promptTokensMax: number;
  /** Tokens below this one are text. */
  textTokens: number;
}

/** When the first try is not believed. Source: the defaults of the reference implementation. */
const RETRY_TEMPERATURES = [0.2, 0.4, 0.6, 0.8, 1];
const LOGPROB_MIN = -1;
const COMPRESSION_MAX = 2.4;
const NO_SPEECH_MIN = 0.6;

export async function loadJobs(place: Place): Promise<Loaded> {
  const { folder, progress } = place;
  const config = readJson(folder, "config.json") ?? {};
  const bands = typeof config.num_mel_bins === "number" ? config.num_mel_bins : 80;
  const tokenizer = openTokenizer(folder);
  const about = readTokens(folder, tokenizer);
  const graphs = await openGraphs(place, bands);
  const mel = createMel(bands);
  const textOf = (tokens: readonly number[]) => textIn(tokenizer, tokens, about.end);
  const isTime = (token: number) => token >= about.firstTimestamp;

  async function window(ask: WindowAsk, context: Parameters<Loaded["jobs"][string]>[1]) {
    const heard = await graphs.hear(mel(ask.samples));
    await context.breathe();
    context.signal.throwIfAborted();
    const seconds = ask.samples.length / SAMPLE_RATE;
    const language = ask.language ?? (about.tasks === null ? "en" : await findLanguage(graphs, about, heard));
    const head = about.tasks === null ? [] : [about.languages[language]!, about.tasks[ask.task]];

    let used = ask.temperature;
    const decode = (temperature: number) => {
      used = temperature;
      const wish = { prompt: ask.prompt, head, timestamps: true, temperature };
      const onToken = ask.report ? (token: number) => context.report(token) : () => {};
      return decodeWindow(graphs, about, heard, wish, context, onToken);
    };
    let found = await decode(ask.temperature);
    for (const temperature of ask.temperature === 0 && !ask.report ? RETRY_TEMPERATURES : []) {
      const isSilence = found.noSpeechProbability > NO_SPEECH_MIN && found.averageLogprob < LOGPROB_MIN;
      if (isSilence || (found.averageLogprob >= LOGPROB_MIN && compression(plainOf(found)) <= COMPRESSION_MAX)) break;
      found = await decode(temperature);
    }

    const silent = found.noSpeechProbability > NO_SPEECH_MIN && found.averageLogprob < LOGPROB_MIN;
    const { segments, advance } = silent
      ? { segments: [], advance: seconds }
      : cut(found.tokens, seconds, about.firstTimestamp);
    if (ask.words) await addWords(segments, heard, head, seconds);
    const output: HeardWindow = {
      language,
      segments,
      temperature: used,
      averageLogprob: found.averageLogprob,
      compressionRatio: compression(plainOf(found)),
      noSpeechProbability: found.noSpeechProbability,
      advance: ask.last ? seconds : advance,
      tokens: found.tokens.length,
    };
    return { output };
  }

  function plainOf({ tokens }: Decoded): string {
    return textOf(tokens);
  }

  /** One more pass over all that was said, which tells what each token was attended to. */
  async function addWords(
    segments: HeardSegment[],
    heard: Awaited<ReturnType<typeof graphs.hear>>,
    head: number[],
    seconds: number,
  ): Promise<void> {
    const start = [about.startOfTranscript, ...head, about.noTimestamps];
    const said = segments.flatMap(({ tokens }) => tokens.filter((token) => !isTime(token) && token < about.end));
    if (said.length === 0) {
      for (const segment of segments) segment.words = [];
      return;
    }
    const { attention } = await graphs.say([...start, ...said, about.end], heard, null);
    const frames = Math.max(1, Math.min(attention[0]!.dims[3]!, Math.round(seconds / SECONDS_PER_TIMESTAMP)));
    const heads = about.alignmentHeads ?? [];
    const times = timesOf(attention, heads, start.length, start.length + said.length, frames);
    let at = 0;
    for (const segment of segments) {
      const own = segment.tokens.filter((token) => !isTime(token) && token < about.end);
      segment.words = wordsOf(own, textOf).map(({ word, from, to }) => {
        return { word, start: times[at + from]!, end: Math.min(seconds, times[at + to]!) };
      });
      at += own.length;
    }
  }

  // Half a second of silence: tells that the graphs run at all.
  await window(
    {
      samples: new Float32Array(SAMPLE_RATE / 2),
      last: true,
      language: Object.keys(about.languages)[0] ?? null,
      task: "transcribe",
      prompt: [],
      temperature: 0,
      words: false,
      report: true,
    },
    { signal: new AbortController().signal, report: () => {}, breathe: async () => {} },
  );
  progress(1);
  const info: WhisperInfo = {
    languages: Object.keys(about.languages),
    tellsWords: graphs.tellsAttention && (about.alignmentHeads?.length ?? 0) > 0,
    translates: about.tasks !== null,
    promptTokensMax: about.startOfPrevious === null ? 0 : Math.floor(about.contextTokens / 2) - 1,
    textTokens: about.end,
  };
  return { info, jobs: { window } };
}

/** How much smaller a text becomes: one that says the same again and again does so by far. */
function compression(text: string): number {
  const bytes = Buffer.from(text);
  return bytes.length === 0 ? 0 : bytes.length / deflateSync(bytes).length;
}

/**
 * Cuts what was said at its times. The window ends with its last whole segment, where the next one begins; or at its end,
 * when the last time is one alone: then nothing was said behind it.
 */
function cut(tokens: number[], seconds: number, first: number): { segments: HeardSegment[]; advance: number } {
  const timeOf = (token: number) => Math.min(seconds, (token - first) * SECONDS_PER_TIMESTAMP);
  const isTime = (token: number | undefined) => token !== undefined && token >= first;
  const segments: HeardSegment[] = [];
  const take = (part: number[], end: number | null) => {
    const start = isTime(part[0]) ? timeOf(part[0]!) : 0;
    const stop = end ?? (isTime(part.at(-1)) && part.length > 1 ? timeOf(part.at(-1)!) : seconds);
    if (part.some((token) => !isTime(token))) segments.push({ start, end: stop, tokens: part, words: null });
  };
  const borders = tokens.flatMap((token, at) => (at > 0 && isTime(token) && isTime(tokens[at - 1]) ? [at] : []));
  if (borders.length === 0) {
    take(tokens, null);
    return { segments, advance: seconds };
  }
  let from = 0;
  for (const border of borders) {
    take(tokens.slice(from, border), null);
    from = border;
  }
  const isAlone = isTime(tokens.at(-1)) && !isTime(tokens.at(-2));
  if (isAlone) {
    take(tokens.slice(from), null);
    return { segments, advance: seconds };
  }
  const advance = timeOf(tokens[from - 1]!);
  return { segments, advance: advance > 0 ? advance : Math.min(seconds, WINDOW_S) };
}

/** Words as they are written: a space begins one. What is written without spaces is a word for each whole character. */
function wordsOf(tokens: number[], textOf: (tokens: readonly number[]) => string) {
  const words: { word: string; from: number; to: number }[] = [];
  let from = 0;
  for (let to = 1; to <= tokens.length; to++) {
    const text = textOf(tokens.slice(from, to));
    // A character may be made of several tokens.
    if (text.endsWith("\ufffd") && to < tokens.length) continue;
    const last = words.at(-1);
    const goesOn = last !== undefined && !/^\s/.test(text) && !/^[\p{Lo}]/u.test(text);
    if (goesOn) {
      last.word += text;
      last.to = to;
    } else words.push({ word: text, from, to });
    from = to;
  }
  return words.map(({ word, ...place }) => ({ word: word.trim(), ...place })).filter(({ word }) => word !== "");
}
