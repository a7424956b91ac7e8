// How the gateway's fleet and a worker process understand each other, beyond the OpenAI wire itself.
//
// A worker is a child process that hosts one or more models. It is started as
//   bun workers/<kind>/main.ts <WorkerConfig as JSON>
// with a pipe as its standard input, which it watches: end of input means that the parent is gone, and the worker exits
// at once, so no worker ever outlives its parent. It unlinks and then listens on the unix socket `socket`, logs to standard
// error only, and from its first moment on answers
//   GET /health               200 WorkerHealth, whatever the state
//   GET /metrics              Prometheus text
//   GET /v1/models            the wire
//   POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/images/detections,
//     /v1/audio/transcriptions, /v1/audio/translations, /v1/audio/speech
//   POST /v1/count            PromptCount, for the body of a call to the path in the field x-oxbow-path; nothing is generated
// A call that carries `x-oxbow-usage: 1` wants its tokens counted: an answer that is a stream says so with the same header
// field and, behind `data: [DONE]`, in one comment line (usageComment). The gateway takes it out again.
// A model that can never be loaded ends the worker with exit code 65 after one last line on standard error that is fit
// for the operator's eyes and starts with `fatal: `. Every other exit is a crash, and the worker is started again.

import type { DiffusionCard, ImagesCard } from "./images.ts";

/** State of what a worker hosts. `progress` 0 to 1. */
export interface WorkerHealth {
  state: "loading" | "warm";
  progress: number;
  /** Of a warm one with one model: tokens of prompt and answer together that a request really has, where it knows. */
  contextTokens?: number;
}

/** The header field by which the gateway asks for a stream's token counts, and the worker says that they will come. */
export const USAGE_FIELD = "x-oxbow-usage";

/** What follows `data: [DONE]` for the gateway's eyes. */
export function usageComment({ prompt_tokens, completion_tokens }: TokenCounts): string {
  return `: usage ${JSON.stringify({ prompt_tokens, completion_tokens })}\n`;
}

export interface TokenCounts {
  prompt_tokens: number;
  completion_tokens: number;
}

/** The header field that says how long a recording is, in seconds, as its packets say: nobody decodes more than that. */
export const AUDIO_SECONDS_FIELD = "x-oxbow-audio-seconds";

/** Where a worker counts prompts, and the field that says which endpoint the body is for. */
export const COUNT_PATH = "/v1/count";
export const COUNT_FIELD = "x-oxbow-path";

/** What the prompt of a call costs, exactly: as `usage` would say. Images, audio and files are left out. */
export interface PromptCount {
  prompt_tokens: number;
}

/** Exit code (EX_DATAERR of sysexits.h) that means: do not start me again with the same file. */
export const EXIT_MODEL_UNUSABLE = 65;

export interface WorkerConfig {
  /** Path of the unix socket to listen on. At most 107 bytes: a limit of the system. */
  socket: string;
  models: WorkerModel[];
  /** How many requests run at the same time; further ones wait inside the worker. */
  slots: number;
  /** Processor threads this worker may use. */
  threads: number;
  /** What only this kind of worker understands, from its entry in data/engines.yaml. */
  options: Record<string, unknown>;
}

export interface WorkerModel {
  /** The id that clients use, answered as `model`. */
  id: string;
  aliases: string[];
  /** chat, code, vision, embeddings, audio, images, detection */
  category: string;
  capabilities: string[];
  /** Tokens of prompt and answer together, for one request. */
  contextTokens: number;
  /** Path of the weights, for workers that load any: a file, or a folder laid out as on the Hugging Face hub. */
  file?: string;
  /** Length of an embedding. */
  dimensions?: number;
  /** How texts become vectors, where the catalogue says more than the model's own files. */
  embedding?: EmbeddingCard;
  /** What a model sees that finds objects in images. */
  detection?: DetectionCard;
  /** Of a model that paints from noise. */
  diffusion?: DiffusionCard;
  /** Which sizes a model paints. */
  images?: ImagesCard;
  /** Of a model that writes down what is said. */
  transcription?: TranscriptionCard;
  /** Of a model that speaks. */
  speech?: SpeechCard;
}

/** What data/models.yaml says of a model that hears: what a stand-in for it goes by, because the weights know it themselves. */
export interface TranscriptionCard {
  /** ISO 639-1 codes of the languages it was trained for, and longer ones where a language has no shorter. */
  languages: string[];
}

/** What data/models.yaml says of a model that speaks. */
export interface SpeechCard {
  voices: string[];
}

/** What data/models.yaml says of a model that embeds texts. */
export interface EmbeddingCard {
  /** Which of the vectors of a text's tokens stands for the text: the first, their mean, or the last. */
  pooling?: "cls" | "mean" | "last";
  /** Whether vectors have the length 1. */
  normalise: boolean;
  /** What is put before a text when the call says what it is for. Absent: the model makes no difference. */
  prefixes?: { query: string; passage: string };
  /** Shorter lengths that vectors may be cut to, for models that were trained for it. */
  matryoshka: number[];
}

/** What data/models.yaml says of a model that finds objects in images. */
export interface DetectionCard {
  /** What it can name, in the order of its outputs. */
  classes: string[];
  /** Width and height of the square that it looks at, where its file does not fix them: 640. */
  inputPixels?: number;
  /** Two boxes of a class that overlap by more than this share of both together are one object: 0.7. */
  overlapMax?: number;
}
