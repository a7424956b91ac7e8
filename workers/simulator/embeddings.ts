// POST /v1/embeddings: vectors of the model's true length, the same for the same text every time. Texts that share words
// point in similar directions, so that an application's search finds something.

import {
  ApiError,
  type EmbeddingRequest,
  embeddingAnswer,
  inputField,
  inputsOf,
  normalise,
  parseEmbeddingRequest,
  refuseDimensions,
  shorten,
} from "@oxbow/contract";
import type { Ask } from "./ask.ts";
import { createRandom, hashNumbers, hashText } from "./random.ts";
import { type Answer, respond, Written } from "./respond.ts";
import { decode, encode, isToken } from "./tokenizer.ts";

/** For models whose length nobody has published. */
const DIMENSIONS = 1024;
/** Numbers of the vector that one token changes. */
const MARKS = 16;
/** What tells texts of the same words apart. */
const NOISE = 0.02;

/** @throws ApiError for every refusal; the signal's reason when the caller hangs up */
export async function embeddings({ body, model, engine, simulation, signal }: Ask): Promise<Response> {
  const call = parseEmbeddingRequest(body);
  if (model.category !== "embeddings") {
    const text = `Unsupported value: 'model'. \`${model.id}\` is a model for ${model.category} and does not embed texts.`;
    throw new ApiError("unsupported_value", text, { param: "model" });
  }
  if (call.dimensions !== undefined && model.dimensions !== undefined) refuseDimensions(call.dimensions, model);
  const texts = tokensRead(call);
  for (const [index, { length }] of texts.entries()) refuseTooLong(call, index, length, model.contextTokens);
  // A text may fill the context: nothing is written behind it.
  const roomy = { id: model.id, contextTokens: model.contextTokens + 1 };
  const job = await engine.admit({ model: roomy, prompts: texts, tokensMax: 1, body, simulation, signal });
  const dimensions = model.dimensions ?? DIMENSIONS;
  const answer: Answer = {
    stream: false,
    steps: 1,
    events: () => [],
    whole() {
      const vectors = texts.map((tokens) => shorten(vectorOf(tokens, dimensions), call.dimensions ?? dimensions));
      return new Written(embeddingAnswer(model.id, vectors, call.encoding_format ?? "float", job.promptTokens));
    },
    finish: "stop",
    usage: { prompt_tokens: job.promptTokens, completion_tokens: 0 },
    wantsUsage: false,
  };
  return respond(answer, job, simulation.fault ?? null);
}

/** The inputs in tokens, with none added. @throws ApiError for what is no token */
export function tokensRead(call: EmbeddingRequest): number[][] {
  return inputsOf(call).map((input, index) => {
    if (typeof input === "string") return encode(input.toWellFormed());
    const bad = input.find((id) => !isToken(id));
    if (bad === undefined) return input;
    const param = inputField(call, index);
    throw new ApiError("invalid_value", `Invalid value for '${param}': the model has no token ${bad}.`, { param });
  });
}

function refuseTooLong(call: EmbeddingRequest, index: number, tokens: number, contextTokens: number): void {
  if (tokens <= contextTokens) return;
  const text = `This model's maximum context length is ${contextTokens} tokens, however you requested ${tokens} tokens (${tokens} in your prompt; 0 for the completion). Please reduce your prompt.`;
  throw new ApiError("context_length_exceeded", text, { param: inputField(call, index) });
}

function vectorOf(tokens: readonly number[], dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const token of tokens) {
    // A word is the same word at the start of a sentence and inside it.
    const random = createRandom(hashText(decode(token).trim().toLowerCase()));
    for (let mark = 0; mark < MARKS; mark++) vector[random.below(dimensions)]! += random.next() < 0.5 ? -1 : 1;
  }
  const random = createRandom(hashNumbers(tokens, 0, tokens.length, 0));
  const spread = NOISE * Math.sqrt(tokens.length + 1);
  for (let at = 0; at < dimensions; at++) vector[at]! += spread * (random.next() - 0.5);
  return normalise(vector);
}
