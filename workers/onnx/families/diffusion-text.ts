// Prompts to the tokens of CLIP, padded to the length that its encoder wants. Repositories of pipelines carry the two files
// that tokenizer was first published with; the library reads them once they are put into its own form.
// Source: Radford et al., CLIP (2021), its byte-pair encoder; the form of tokenizer.json as the tokenizers library writes it.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { ApiError } from "@oxbow/contract";
import { UnusableModel } from "@oxbow/worker";
import { readJson } from "../weights.ts";

export interface Prompts {
  /** @throws ApiError `context_length_exceeded` for a text with more tokens than the encoder reads: it is never cut */
  encode(text: string, field: string): number[];
  /** Tokens of a text, without those that stand around it. */
  count(text: string): number;
}

/** Of every CLIP so far. */
const LENGTH = 77;

/** @param part the folder of one tokenizer: `tokenizer`, `tokenizer_2` */
export function createPrompts(folder: string, part: string): Prompts {
  const config = readJson(folder, `${part}/tokenizer_config.json`) ?? {};
  const tokenizer = open(join(folder, part), part, config);
  const idOf = (token: string) => {
    const id = tokenizer.token_to_id(token);
    if (id === undefined) throw new UnusableModel(`has a ${part} without the token ${token}`);
    return id;
  };
  const length = typeof config.model_max_length === "number" ? Math.min(config.model_max_length, LENGTH) : LENGTH;
  const [start, end] = [idOf(START), idOf(END)];
  const pad = idOf(textOf(config.pad_token) ?? END);
  const idsOf = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;
  return {
    encode(text, field) {
      const ids = idsOf(text);
      if (ids.length > length - 2) {
        const said = `The model reads ${length - 2} tokens of a prompt, but '${field}' has ${ids.length}. Please shorten it.`;
        throw new ApiError("context_length_exceeded", said, { param: field });
      }
      return [start, ...ids, end, ...Array<number>(length - 2 - ids.length).fill(pad)];
    },
    count: (text) => idsOf(text).length,
  };
}

const START = "<|startoftext|>";
const END = "<|endoftext|>";

/** Tokens are written as texts, or as objects with one. */
function textOf(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

function open(folder: string, part: string, config: Record<string, unknown>): Tokenizer {
  const whole = readJson(folder, "tokenizer.json");
  if (whole) return new Tokenizer(whole, config);
  const vocabulary = readJson(folder, "vocab.json") as Record<string, number> | null;
  const merges = join(folder, "merges.txt");
  if (!vocabulary || !existsSync(merges)) throw new UnusableModel(`has no ${part}/vocab.json and merges.txt`);
  const pairs = readFileSync(merges, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#version"));
  return new Tokenizer(formOf(vocabulary, pairs), config);
}

function formOf(vocab: Record<string, number>, merges: string[]): object {
  const special = [START, END].filter((token) => token in vocab);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({
      id: vocab[content],
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORDS }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: END,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    },
  };
}

const WORDS = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
