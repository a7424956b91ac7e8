// Loads a model that sees: its language model and its encoder of images. The library ends the process over files that it
// cannot read, so both are looked at first.

import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { UnusableModel } from "@oxbow/worker";
import { type ChatTemplate, createChatTemplate } from "../chat/template.ts";
import type { GgufHeader } from "../gguf-check.ts";
import { readGgufHeader } from "../gguf-header.ts";

/** The part of @fugood/llama.node that is used. */
export interface SeeingContext {
  initMultimodal(options: { path: string; use_gpu: boolean }): boolean;
  getMultimodalSupport(): { vision: boolean; audio: boolean };
  tokenize(text: string, options: { media_paths: string[] }): Promise<{ tokens: Int32Array }>;
  parallel: {
    enable(options: { n_parallel: number; n_batch: number }): Promise<boolean>;
    completion(
      options: Record<string, unknown>,
      onToken: (id: number, event: { token: string }) => void,
    ): Promise<{ promise: Promise<Completed>; stop(): void }>;
  };
}

export interface Completed {
  stopped_eos: boolean;
  context_full: boolean;
}

export interface Seeing {
  context: SeeingContext;
  template: ChatTemplate;
  /** What in a text would be read as the beginning or end of a turn, or as an image. */
  controls: string[];
  /** Changes when answers may: another file, or another library. */
  fingerprint: string;
  /** Of prompt and answer together, for one request. */
  contextTokens: number;
}

export interface LoadOptions {
  file: string;
  /** The encoder of images; null: looked for beside `file`. */
  mmproj: string | null;
  contextTokens: number;
  slots: number;
  threads: number;
  gpuLayers: number;
  batchTokens: number;
}

/** Stands for an image in a prompt. Source: llama.cpp tools/mtmd/mtmd.h, read 2026-11-21. */
export const IMAGE_MARK = "<__media__>";

/** @throws UnusableModel */
export async function loadSeeing(options: LoadOptions): Promise<Seeing> {
  const { file, slots, threads, gpuLayers, batchTokens } = options;
  const header = readGgufHeader(file);
  const contextTokens = Math.min(options.contextTokens, trainedFor(header));
  const mmproj = options.mmproj ?? findEncoder(file);
  const encoder = readGgufHeader(mmproj, checkEncoder);
  const source = templateIn(header);
  const template = openTemplate(source);

  const library = (await import(LIBRARY)) as {
    loadModel(options: Record<string, unknown>): Promise<SeeingContext>;
  };
  const context = await library.loadModel({
    model: file,
    // All sequences together, and each has its share.
    n_ctx: contextTokens * slots,
    n_parallel: slots,
    kv_unified: false,
    ctx_shift: false,
    n_threads: threads,
    n_gpu_layers: gpuLayers,
    n_batch: batchTokens,
  });
  if (!context.initMultimodal({ path: mmproj, use_gpu: gpuLayers > 0 }) || !context.getMultimodalSupport().vision) {
    throw new UnusableModel("has an encoder of images that cannot be loaded");
  }
  if (!(await context.parallel.enable({ n_parallel: slots, n_batch: batchTokens }))) {
    throw new Error("the library could not be made to work on several requests");
  }
  const controls = [IMAGE_MARK, ...new Set(source.match(CONTROL) ?? [])];
  return { context, template, controls, contextTokens, fingerprint: fingerprintOf([header, encoder]) };
}

/** In a variable, because its types are sources of its own that our compiler would check. */
const LIBRARY: string = "@fugood/llama.node";

/** Words of templates that stand for control tokens: `<|im_start|>`, `<start_of_turn>`, `[INST]`. */
const CONTROL = /<[^<>\s'"]{1,40}>|\[\/?[A-Z_]{2,20}\]/g;

function findEncoder(file: string): string {
  const folder = dirname(file);
  const found = readdirSync(folder).filter((name) => /mmproj.*\.gguf$/i.test(name));
  if (found.length === 1) return join(folder, found[0]!);
  const what = found.length === 0 ? "no file" : `${found.length} files`;
  throw new UnusableModel(`has ${what} named *mmproj*.gguf beside it: name the one to take as options.mmproj`);
}

/** What the library takes for granted: sizes that it divides by, and an architecture that it knows what to do with. */
function checkEncoder({ values }: GgufHeader): void {
  if (values.get("general.architecture") !== "clip")
    throw new UnusableModel("has an mmproj file that encodes no images");
  for (const name of ["image_size", "patch_size", "embedding_length", "attention.head_count", "block_count"]) {
    const value = values.get(`clip.vision.${name}`);
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_536) continue;
    throw new UnusableModel(`has a damaged mmproj file: clip.vision.${name} is ${value ?? "missing"}`);
  }
}

/** The header has been checked: the number is there. */
function trainedFor({ values }: GgufHeader): number {
  return values.get(`${values.get("general.architecture")}.context_length`) as number;
}

function fingerprintOf(headers: GgufHeader[]): string {
  const hash = new Bun.CryptoHasher("sha256").update(`${LIBRARY} 1.7.15`);
  for (const { size, values, tensors } of headers) hash.update(JSON.stringify([size, ...values, ...tensors.keys()]));
  return `fp_${hash.digest("hex").slice(0, 10)}`;
}

function templateIn({ values }: GgufHeader): string {
  const text = values.get("tokenizer.chat_template");
  // The header's reader makes a character of each byte.
  return typeof text === "string" ? Buffer.from(text, "latin1").toString("utf8") : "";
}

function openTemplate(source: string): ChatTemplate {
  try {
    // The first token is the library's affair: it writes it itself.
    return createChatTemplate(source, { bos: "", eos: "" });
  } catch (cause) {
    throw new UnusableModel(`has a chat template that cannot be used: ${(cause as Error).message.slice(0, 200)}`);
  }
}
