// POST /v1/embeddings: request, answer, and the two ways to write a vector.
// Source: openai-openapi 2.3.0, `CreateEmbeddingRequest` and `CreateEmbeddingResponse`, read 2026-11-21, and recorded
// answers. SDKs ask for base64 by default and decode little-endian 32-bit floats. `input_type` is ours.

import Type, { type Static } from "typebox";
import { ApiError } from "./errors.ts";
import { createParser } from "./validate.ts";

/** Inputs in one call, as the API reference has it. */
const EMBEDDING_INPUTS_MAX = 2048;

const Text = Type.String({ minLength: 1 });
const Tokens = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

export const EmbeddingRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  input: Type.Union([
    Text,
    Type.Array(Text, { minItems: 1, maxItems: EMBEDDING_INPUTS_MAX }),
    Tokens,
    Type.Array(Tokens, { minItems: 1, maxItems: EMBEDDING_INPUTS_MAX }),
  ]),
  encoding_format: Type.Optional(Type.Union([Type.Literal("float"), Type.Literal("base64")])),
  dimensions: Type.Optional(Type.Integer({ minimum: 1 })),
  user: Type.Optional(Type.String()),
  /** What the texts are for, with models that put different words before a question and before what may answer it. */
  input_type: Type.Optional(Type.Union([Type.Literal("query"), Type.Literal("passage"), Type.Literal("document")])),
});
export type EmbeddingRequest = Static<typeof EmbeddingRequest>;
export type EncodingFormat = NonNullable<EmbeddingRequest["encoding_format"]>;

/** @throws ApiError naming the first bad field */
export const parseEmbeddingRequest: (body: Record<string, unknown>) => EmbeddingRequest =
  createParser(EmbeddingRequest);

/** The inputs of a call, each a text or a list of tokens, in order. */
export function inputsOf({ input }: EmbeddingRequest): (string | number[])[] {
  if (typeof input === "string") return [input];
  if (typeof input[0] === "number") return [input as number[]];
  return input as (string | number[])[];
}

/** The field of one input: `input`, or `input[3]` of a list. */
export function inputField({ input }: EmbeddingRequest, index: number): string {
  return typeof input === "string" || typeof input[0] === "number" ? "input" : `input[${index}]`;
}

export interface EmbeddingAnswer {
  object: "list";
  data: EmbeddingObject[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
}

export interface EmbeddingObject {
  object: "embedding";
  index: number;
  embedding: number[] | string;
}

/** The answer's JSON. @param vectors one for each input, in order */
export function embeddingAnswer(
  model: string,
  vectors: readonly Float32Array[],
  format: EncodingFormat,
  promptTokens: number,
): string {
  const data = vectors.map((vector, index): EmbeddingObject => {
    return { object: "embedding", index, embedding: encodeVector(vector, format) };
  });
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  return JSON.stringify({ object: "list", data, model, usage } satisfies EmbeddingAnswer);
}

export function encodeVector(vector: Float32Array, format: EncodingFormat): number[] | string {
  if (format === "float") return Array.from(vector);
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}

/** A vector as an engine wrote it; null for what is none. */
export function decodeVector(embedding: unknown): Float32Array | null {
  if (Array.isArray(embedding)) {
    return embedding.every((each) => typeof each === "number") ? Float32Array.from(embedding) : null;
  }
  if (typeof embedding !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(embedding)) return null;
  const bytes = Buffer.from(embedding, "base64");
  if (bytes.length % 4 !== 0) return null;
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/**
 * The first `dimensions` numbers of a vector, made to have the length 1 again: what models whose first numbers say the most
 * (Kusupati et al., Matryoshka Representation Learning, 2022) are cut to.
 */
export function shorten(vector: Float32Array, dimensions: number): Float32Array {
  if (dimensions >= vector.length) return vector;
  return normalise(vector.slice(0, dimensions));
}

/** @throws ApiError unless vectors of the model have `asked` numbers, or may be cut to so many because it was trained for it */
export function refuseDimensions(
  asked: number,
  { id, dimensions, embedding }: { id: string; dimensions?: number; embedding?: { matryoshka: readonly number[] } },
): void {
  const lengths = [...(embedding?.matryoshka ?? []), ...(dimensions === undefined ? [] : [dimensions])];
  if (lengths.includes(asked)) return;
  const param = "dimensions";
  if (lengths.length < 2) {
    const own = dimensions === undefined ? "" : ` Its vectors have ${dimensions} numbers.`;
    const text = `Unsupported parameter: 'dimensions' is not supported with the model \`${id}\`.${own}`;
    throw new ApiError("unsupported_parameter", text, { param });
  }
  const text = `Unsupported value: 'dimensions' does not support ${asked} with the model \`${id}\`. Supported values are: ${lengths.join(", ")}.`;
  throw new ApiError("unsupported_value", text, { param });
}

/** In place: to the length 1. A vector of zeros stays what it is. */
export function normalise(vector: Float32Array): Float32Array {
  let squares = 0;
  for (let at = 0; at < vector.length; at++) squares += vector[at]! * vector[at]!;
  const length = Math.sqrt(squares);
  if (length > 0) for (let at = 0; at < vector.length; at++) vector[at]! /= length;
  return vector;
}

/**
 * An engine's answer, put right where it does not do as it was told: vectors in the other encoding, or longer than asked for.
 * What is right already is handed back as it is.
 *
 * @param dimensions that were asked for; null: the model's own
 * @throws ApiError `engine_failed` for what is no such answer
 */
export function tidyEmbeddings(bytes: Uint8Array, format: EncodingFormat, dimensions: number | null): Uint8Array {
  if (dimensions === null && formatIn(bytes) === format) return bytes;
  const answer = readAnswer(bytes);
  const data = answer.data.toSorted((one, other) => one.index - other.index);
  let changed = false;
  const tidy = data.map((object) => {
    const vector = decodeVector(object.embedding);
    if (vector === null) throw noAnswer();
    const right = typeof object.embedding === "string" ? format === "base64" : format === "float";
    if (right && vector.length <= (dimensions ?? vector.length)) return object;
    changed = true;
    return { ...object, embedding: encodeVector(shorten(vector, dimensions ?? vector.length), format) };
  });
  return changed ? new TextEncoder().encode(JSON.stringify({ ...answer, data: tidy })) : bytes;
}

function readAnswer(bytes: Uint8Array): EmbeddingAnswer {
  try {
    const answer = JSON.parse(Buffer.from(bytes).toString()) as EmbeddingAnswer;
    if (Array.isArray(answer?.data)) return answer;
  } catch {
    // no JSON is no answer either
  }
  throw noAnswer();
}

function noAnswer(): ApiError {
  return new ApiError("engine_failed", "The engine answered with something that holds no vectors. Try again.");
}

/** How the first vector is written; null when there is none to see. */
function formatIn(bytes: Uint8Array): EncodingFormat | null {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(VECTOR);
  const start = Buffer.from(bytes.subarray(at, at + 64)).toString("latin1");
  const mark = at < 0 ? null : /^"embedding":\s*(["[])/.exec(start)?.[1];
  return mark === "[" ? "float" : mark === '"' ? "base64" : null;
}

/** The key. The same word as the value of `object` is followed by no colon. */
const VECTOR = '"embedding":';
