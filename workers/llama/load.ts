// From a checked file to a model that answers: loads it, makes its context, and reads its vocabulary and template.

import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { cpus } from "node:os";
import { UnusableModel } from "@oxbow/worker";
import { getLlama, InsufficientMemoryError, LlamaLogLevel, type LlamaModel } from "node-llama-cpp";
import { type ChatTemplate, createChatTemplate } from "./chat/template.ts";
import type { GgufHeader } from "./gguf-check.ts";
import { type Native, openNative } from "./native.ts";
import type { LlamaOptions } from "./options.ts";
import { createPromptGuard } from "./prompt-guard.ts";
import { createVocabulary, type Vocabulary } from "./vocabulary.ts";

export interface LoadedModel {
  native: Native;
  vocabulary: Vocabulary;
  template: ChatTemplate;
  /** Keeps control tokens out of what people write. */
  guard: ReturnType<typeof createPromptGuard>;
  /** Prompt and answer together, for one sequence: what was asked for, or what the model was trained for if that is less. */
  contextTokens: number;
  /** Changes with anything that may change answers: weights, engine, hardware. */
  fingerprint: string;
  /** Kept, for the library frees what nobody holds. */
  keep: unknown[];
}

export interface LoadOptions extends Pick<LlamaOptions, "gpu" | "gpuLayers" | "batchTokens"> {
  file: string;
  /** The file's header, checked. */
  header: GgufHeader;
  contextTokens: number;
  slots: number;
  threads: number;
  signal: AbortSignal;
  /** 0 to 1. */
  onProgress(progress: number): void;
  /** A line for the operator. */
  log(line: string): void;
}

/**
 * @throws UnusableModel when the file can never be loaded
 * @throws Error for what may pass: too little memory, no usable graphics card
 */
export async function loadModel(options: LoadOptions): Promise<LoadedModel> {
  const { file, header, signal, onProgress } = options;
  // Native code tells its reasons in the log only: the last error is the reason of what is thrown next.
  let lastError = "";
  const llama = await getLlama({
    gpu: options.gpu,
    build: "never",
    maxThreads: options.threads,
    logLevel: LlamaLogLevel.warn,
    logger(level, message) {
      const line = message.trim().replaceAll(/\s*\n\s*/g, "; ");
      if (level === LlamaLogLevel.error || level === LlamaLogLevel.fatal) lastError = line;
      options.log(`${level}: ${line}`);
    },
  });
  const model = await llama
    .loadModel({ modelPath: file, gpuLayers: options.gpuLayers, loadSignal: signal, onLoadProgress: onProgress })
    .catch((cause: unknown) => {
      throw isPassing(cause, signal) ? cause : new UnusableModel(`cannot be loaded: ${lastError || textOf(cause)}`);
    });
  const contextTokens = Math.min(options.contextTokens, model.trainContextSize);
  if (contextTokens < options.contextTokens) {
    options.log(
      `the model was trained for ${contextTokens} tokens of context, not ${options.contextTokens}: using those`,
    );
  }
  const context = await model.createContext({
    contextSize: contextTokens,
    sequences: options.slots,
    batchSize: options.batchTokens,
    threads: options.threads,
    createSignal: signal,
    failedCreationRemedy: false,
  });
  const native = openNative(model, context);
  const vocabulary = createVocabulary(native.vocabulary);
  return {
    native,
    vocabulary,
    template: readTemplate(model, vocabulary),
    guard: createPromptGuard(vocabulary.controlTexts),
    contextTokens,
    fingerprint: fingerprintOf(file, header, `${llama.gpu} ${llama.llamaCppRelease.release} ${cpus()[0]?.model}`),
    keep: [llama, model, context],
  };
}

function isPassing(cause: unknown, signal: AbortSignal): boolean {
  return signal.aborted || cause instanceof InsufficientMemoryError;
}

function readTemplate(model: LlamaModel, vocabulary: Vocabulary): ChatTemplate {
  const source = model.fileInfo.metadata.tokenizer.chat_template ?? "";
  try {
    return createChatTemplate(source, { bos: vocabulary.bos, eos: vocabulary.eos });
  } catch (cause) {
    throw new UnusableModel(`has a chat template that cannot be parsed: ${textOf(cause)}`);
  }
}

function textOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replaceAll(/\s+/g, " ").slice(0, 200);
}

/** Hashes the first megabyte, which holds the header, and the size: whole files would take seconds to minutes. */
function fingerprintOf(file: string, header: GgufHeader, engine: string): string {
  const start = Buffer.alloc(Math.min(header.size, 1 << 20));
  const handle = openSync(file, "r");
  readSync(handle, start);
  closeSync(handle);
  return `fp_${createHash("sha256").update(start).update(`${header.size} ${engine}`).digest("hex").slice(0, 10)}`;
}
