// Holds a header that could be read to what the loader needs and does not survive without: measured with the library at
// its pinned version, by loading damaged files. What the loader itself refuses in peace is left to it.

import { UnusableModel } from "@oxbow/worker";
import { show } from "./show.ts";

export interface GgufHeader {
  /** Bytes of the whole file. */
  size: number;
  /** Single values, by key. Arrays are not kept. */
  values: Map<string, string | number | boolean>;
  /** Lengths and element types of arrays, by key. */
  arrays: Map<string, { type: number; length: number }>;
  tensors: Map<string, { shape: number[] }>;
}

/** @throws UnusableModel naming what the loader takes for granted and does not find */
export function checkModel({ values, arrays, tensors }: GgufHeader): void {
  const architecture = values.get("general.architecture");
  if (typeof architecture !== "string" || architecture === "") {
    throw new UnusableModel("does not say which architecture it has");
  }
  for (const name of ["block_count", "embedding_length", "context_length"]) {
    const value = values.get(`${architecture}.${name}`);
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 2 ** 31 - 1) continue;
    throw new UnusableModel(`is damaged: ${show(`${architecture}.${name}`)} is ${value ?? "missing"}`);
  }
  if ((values.get(`${architecture}.block_count`) as number) > BLOCKS_MAX) {
    throw new UnusableModel(`is damaged: it counts more than ${BLOCKS_MAX} blocks`);
  }
  checkWidth(architecture, values, arrays, tensors);
  checkHeads(architecture, values, arrays, tensors);
  for (const [key, value] of values) {
    if (!key.endsWith("_epsilon") || (Number.isFinite(value) && (value as number) >= 0)) continue;
    throw new UnusableModel(`is damaged: ${show(key)} is ${value}`);
  }
  checkVocabulary(values, arrays);
  if (values.get(`${architecture}.pooling_type`)) {
    throw new UnusableModel("makes embeddings or scores, not text");
  }
}

/** `LLAMA_MAX_LAYERS` of llama.cpp. */
const BLOCKS_MAX = 512;

/** Without a width, tensors of the feed-forward part would have no rows. */
function checkWidth(
  architecture: string,
  values: GgufHeader["values"],
  arrays: GgufHeader["arrays"],
  tensors: GgufHeader["tensors"],
): void {
  const key = `${architecture}.feed_forward_length`;
  const width = values.get(key);
  if (arrays.has(key) || (typeof width === "number" && width >= 1)) return;
  if (![...tensors.keys()].some((name) => name.endsWith(".ffn_down.weight"))) return;
  throw new UnusableModel(`is damaged: ${show(key)} is ${width ?? "missing"}`);
}

/** Zero heads divide by zero in native code. Models without attention state zero and are fine. */
function checkHeads(
  architecture: string,
  values: GgufHeader["values"],
  arrays: GgufHeader["arrays"],
  tensors: GgufHeader["tensors"],
): void {
  const attends = [...tensors.keys()].some((name) => name.includes(".attn_q"));
  for (const name of ["attention.head_count", "attention.head_count_kv"]) {
    const key = `${architecture}.${name}`;
    const heads = values.get(key);
    if (heads === undefined && (arrays.has(key) || name.endsWith("_kv") || !attends)) continue;
    if (typeof heads === "number" && Number.isInteger(heads) && heads <= 65_536 && heads >= (attends ? 1 : 0)) continue;
    throw new UnusableModel(`is damaged: ${show(key)} is ${heads ?? "missing"}`);
  }
}

/** The loader indexes the lists beside the tokens without asking how long they are. */
function checkVocabulary(values: GgufHeader["values"], arrays: GgufHeader["arrays"]): void {
  const tokens = arrays.get("tokenizer.ggml.tokens");
  if (typeof values.get("tokenizer.ggml.model") !== "string" || !tokens || tokens.length === 0) {
    throw new UnusableModel("has no vocabulary");
  }
  if (tokens.type !== STRING) throw new UnusableModel("is damaged: its tokens are not texts");
  for (const [name, type] of Object.entries(LISTS)) {
    const list = arrays.get(`tokenizer.ggml.${name}`);
    if (!list) continue;
    if (list.type !== type) throw new UnusableModel(`is damaged: its list ${name} has the wrong type`);
    if (name !== "merges" && list.length < tokens.length) {
      throw new UnusableModel(`is damaged: its list ${name} is shorter than its vocabulary`);
    }
  }
}

/** The type number of texts. */
const STRING = 8;
/** Lists of the vocabulary and the type number of their elements. */
const LISTS = { token_type: 5, scores: 6, merges: STRING };
