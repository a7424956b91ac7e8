// POST /v1/embeddings.

import {
  ApiError,
  type EmbeddingRequest,
  embeddingTokensBound,
  inputsOf,
  parseEmbeddingRequest,
  refuseDimensions,
  tidyEmbeddings,
} from "@oxbow/contract";
import type { Model } from "../../config.ts";
import { refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function embeddings(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { bytes, body: received } = await readJson(exchange);
  const model = modelOf(received, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model);
  refuseUnable(exchange, model, engine, "embeddings");
  const call = parseEmbeddingRequest(received);
  const instead = insteadOf(model, call);
  const body = { ...received, ...instead };
  return relayCall(exchange, {
    model,
    engine,
    path: "/v1/embeddings",
    received: instead === null ? bytes : new TextEncoder().encode(JSON.stringify(body)),
    body,
    stream: false,
    choices: 1,
    generations: 1,
    inputTokens: embeddingTokensBound({ ...call, ...instead }),
    inputField: "input",
    outputTokens: 0,
    outputField: null,
    translation: {
      whole: (answer) => tidyEmbeddings(answer, call.encoding_format ?? "float", call.dimensions ?? null),
      push: (events) => events,
      error: () => "",
    },
  });
}

interface Instead {
  input?: string | string[];
  dimensions?: undefined;
  input_type?: undefined;
}

/**
 * What engines get in place of the caller's fields: texts with the words before them that `input_type` means, and no
 * `dimensions` that is the vector's own length, because some engines refuse whatever they are told about it. Null: nothing.
 *
 * @throws ApiError for what the model cannot obey
 */
function insteadOf(model: Model, call: EmbeddingRequest): Instead | null {
  const whole = call.dimensions !== undefined && call.dimensions === model.dimensions;
  if (call.dimensions !== undefined && !whole) refuseDimensions(call.dimensions, model);
  const input = call.input_type === undefined ? undefined : withPrefix(model, call, call.input_type);
  if (input === undefined && !whole) return null;
  return {
    ...(whole && { dimensions: undefined }),
    ...(input !== undefined && { input, input_type: undefined }),
  };
}

/** @throws ApiError for a model that makes no difference, and for tokens, which have no words before them */
function withPrefix({ id, embedding }: Model, call: EmbeddingRequest, type: string): string | string[] {
  const param = "input_type";
  if (!embedding?.prefixes) {
    const text = `Unsupported parameter: 'input_type' is not supported with the model \`${id}\`, which makes no difference between a question and what answers it.`;
    throw new ApiError("unsupported_parameter", text, { param });
  }
  const { query, passage } = embedding.prefixes;
  const prefix = type === "query" ? query : passage;
  const texts = inputsOf(call).map((input) => {
    if (typeof input === "string") return prefix + input;
    throw new ApiError("invalid_combination", "'input_type' goes with texts, and the input is tokens.", { param });
  });
  return typeof call.input === "string" ? texts[0]! : texts;
}
