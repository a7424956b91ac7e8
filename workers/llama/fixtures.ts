// Test models, generated: a few hundred kilobytes each, the same bytes every time. Some say one thing only, whatever
// they are asked, so that a test knows the answer of a real engine. Used by tests and the benchmark, never by the worker.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer, toPrintable, trainVocabulary, type Vocabulary } from "../../models/tiny/bpe.ts";
import { CHAT_TEMPLATE, REASONING_CHAT_TEMPLATE, SPECIAL_TOKENS } from "../../models/tiny/chat-template.ts";
import { encodeGguf, type Gguf, tensor } from "../../models/tiny/gguf.ts";
import { type LlamaShape, llamaFile } from "../../models/tiny/llama.ts";
import { createRandom, type Random } from "../../models/tiny/random.ts";
import { type CorruptFile, writeCorruptFiles } from "./corrupt.ts";

const SHAPE: LlamaShape = {
  contextTokens: 4096,
  embedding: 64,
  blocks: 2,
  heads: 4,
  feedForward: 128,
  ropeBase: 10_000,
};

/** The common vocabulary: bytes, some 300 merges of this text, and the special tokens. */
const TEXT = `Hello! How can I help you today? Let me think about it. What is the weather like in Paris and in Tokyo?
user assistant system tool name arguments get_weather location city temperature sunny rain the of and to in a is that it
for was on are as with his they at be this from have or by one had not but what all were when we there can an your which
their said if do will each about how up out them then she many some so these would other into has more her two like him
see time could no make than first been its who now people my made over did down only way find use may water long little
{"name": "get_weather", "arguments": {"location": "Paris"}} {"city": "Tokyo", "temperature": 21, "sunny": true} 0 1 2 3
`;
const VOCABULARY = trainVocabulary(TEXT, 560, SPECIAL_TOKENS);

/** Seeded noise: random text that never means anything, for sampling, grammars and batching. Returns the path. */
export function tinyRandom(directory: string): string {
  return write(directory, "tiny-random.gguf", randomModel());
}

/** Answers "Hello! How can I help you today?" and stops. Returns the path. */
export function tinyScripted(directory: string): string {
  return write(
    directory,
    "tiny-scripted.gguf",
    scriptedModel(["Hello", "!", " How", " can", " I", " help", " you", " today", "?"]),
  );
}

/** Calls `get_weather` for Paris and stops. Returns the path. */
export function tinyTools(directory: string): string {
  return write(
    directory,
    "tiny-tools.gguf",
    scriptedModel(["<tool_call>", `\n${WEATHER}`, "Paris", `"}}\n`, "</tool_call>"]),
  );
}

/** Calls `get_weather` for Paris, then for Tokyo, and stops. Returns the path. */
export function tinyTwoTools(directory: string): string {
  // The second call is spelt with ordinary pieces, for a script may not use a token twice.
  const second = ["\n<tool_", `call>\n${WEATHER}Tok`, `yo"}}`, "\n</tool_", "call>"];
  return write(
    directory,
    "tiny-two-tools.gguf",
    scriptedModel(["<tool_call>", `\n${WEATHER}`, "Paris", `"}}\n`, "</tool_call>", ...second]),
  );
}

/** Thinks, "<think> Let me think about it.</think>", answers "Hello!" and stops. Returns the path. */
export function tinyReason(directory: string): string {
  return write(
    directory,
    "tiny-reason.gguf",
    scriptedModel(
      ["<think>", " Let", " me", " think", " about", " it", ".", "</think>", "Hello", "!"],
      REASONING_CHAT_TEMPLATE,
    ),
  );
}

/** The scripted model with a chat template that is not Jinja: it loads, and fails when the template is parsed. */
export function tinyBrokenTemplate(directory: string): string {
  return write(directory, "tiny-broken-template.gguf", scriptedModel(["Hello", "!"], "{% for message in %}{{ oops"));
}

/** Some forty kinds of broken and foreign files, each with a name for its fault. None is a usable model. */
export function corruptFiles(directory: string): CorruptFile[] {
  return writeCorruptFiles(directory, randomModel);
}

/**
 * A model of the size that is worth timing: 120 million weights of seeded noise in Q8_0, a vocabulary of 32,000 tokens,
 * 130 MB. For the benchmark, which makes it when it runs. Returns the path.
 */
export function benchModel(directory: string): string {
  const random = createRandom(3);
  const vocabulary = withPieces(VOCABULARY, fillers(32_000 - VOCABULARY.tokens.length, random));
  return write(
    directory,
    "bench-120m.gguf",
    llamaFile({
      name: "bench-120m",
      shape: { contextTokens: 8192, embedding: 768, blocks: 10, heads: 12, feedForward: 2048, ropeBase: 10_000 },
      vocabulary,
      chatTemplate: CHAT_TEMPLATE,
      weights: (name, shape) => {
        const count = shape.reduce((product, size) => product * size, 1);
        if (shape.length === 1) return tensor(name, shape, new Float32Array(count).fill(1), "F32");
        return { name, shape, type: "Q8_0", bytes: noiseQ8(count, 1 / Math.sqrt(shape[0]!), random) };
      },
    }),
  );
}

const WEATHER = '{"name": "get_weather", "arguments": {"location": "';

/** The noise model as it goes into the file, for tests that want to spoil a part of it. */
export function randomModel(): Gguf {
  const random = createRandom(1);
  return llamaFile({
    name: "tiny-random",
    shape: SHAPE,
    vocabulary: VOCABULARY,
    chatTemplate: CHAT_TEMPLATE,
    weights: (name, shape) => {
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
      if (shape.length === 1) return tensor(name, shape, values.fill(1), "F32");
      const deviation = name === "token_embd.weight" ? 1 : 1 / Math.sqrt(shape[0]!);
      return tensor(
        name,
        shape,
        values.map(() => deviation * random.normal()),
        "F16",
      );
    },
  });
}

/**
 * A model that recites `pieces` after a newline, with which every prompt of the template ends, and then stops. Its
 * blocks are zero, so the next token depends on the last one alone: logits = output · norm(embedding of the last
 * token). Embeddings are random, hence nearly orthogonal, and each step p → q of the script adds p's direction to q's
 * output row. So all pieces must differ; those the vocabulary lacks become tokens that no text encodes to.
 */
function scriptedModel(pieces: string[], chatTemplate = CHAT_TEMPLATE): Gguf {
  const vocabulary = withPieces(VOCABULARY, pieces);
  const { id } = createTokenizer(vocabulary);
  const random = createRandom(2);
  const width = SHAPE.embedding;
  const embedding = new Float32Array(width * vocabulary.tokens.length).map(() => random.normal());
  const output = embedding.map(() => 0.02 * random.normal());
  const script = ["\n", ...pieces, "<|im_end|>"].map(id);
  for (let step = 1; step < script.length; step++)
    for (let i = 0; i < width; i++)
      output[script[step]! * width + i]! += 0.25 * embedding[script[step - 1]! * width + i]!;
  return llamaFile({
    name: "tiny-scripted",
    shape: SHAPE,
    vocabulary,
    chatTemplate,
    weights: (name, shape) => {
      if (name === "token_embd.weight") return tensor(name, shape, embedding, "F16");
      if (name === "output.weight") return tensor(name, shape, output, "F16");
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
      return shape.length === 1 ? tensor(name, shape, values.fill(1), "F32") : tensor(name, shape, values, "F16");
    },
  });
}

/** `count` elements of even noise straight in Q8_0, far faster than by way of floats. */
function noiseQ8(count: number, deviation: number, random: Random): Uint8Array {
  const bytes = new Uint8Array((count / 32) * 34);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 34) {
    view.setFloat16(at, deviation / 74, true); // bytes spread evenly over ±128 deviate by 74
    for (let i = 2; i < 34; i += 4) view.setUint32(at + i, random.u32(), true);
  }
  return bytes;
}

/** Words that no text encodes to, all different. */
function fillers(count: number, random: Random): string[] {
  const words = new Set<string>();
  while (words.size < count) words.add(` ${random.u32().toString(36)}`);
  return [...words];
}

function withPieces(vocabulary: Vocabulary, pieces: string[]): Vocabulary {
  const known = new Set(vocabulary.tokens);
  const missing = pieces.filter((piece) => !vocabulary.specials.includes(piece)).map(toPrintable);
  return { ...vocabulary, tokens: [...vocabulary.tokens, ...missing.filter((piece) => !known.has(piece))] };
}

function write(directory: string, name: string, model: Gguf): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  writeFileSync(path, encodeGguf(model));
  return path;
}
