// Texts to vectors, the half in the HTTP thread: reads calls, makes tokens of their texts, and collects what waits into
// batches. What a batch computes is in embeddings-jobs.ts.

import {
  embeddingAnswer,
  inputField,
  inputsOf,
  parseEmbeddingRequest,
  parseJsonObject,
  shorten,
} from "@oxbow/contract";
import { refuseOtherModels, type Served } from "@oxbow/worker";
import { createBatcher } from "./embeddings-batcher.ts";
import type { EmbedInfo, EmbedInput, EmbedOutput } from "./embeddings-jobs.ts";
import { createTokens } from "./embeddings-tokens.ts";
import type { Host } from "./family.ts";

export async function openRoutes({ model, folder, options, inference, info }: Host): Promise<Served> {
  const { dimensions } = info as EmbedInfo;
  const tokens = createTokens(folder, model.contextTokens);
  const batcher = createBatcher({
    tokensMax: options.batchTokens,
    waitingMax: options.waitingMax,
    async run(texts) {
      const input = flatten(texts);
      const { vectors } = await inference.run<EmbedOutput>("embed", input, { transfer: [input.ids.buffer] });
      return texts.map((_, at) => vectors.slice(at * dimensions, (at + 1) * dimensions));
    },
  });
  let promptTokens = 0;

  async function embed(request: Request): Promise<Response> {
    const call = parseEmbeddingRequest(parseJsonObject(await request.bytes()));
    refuseOtherModels(model, call.model);
    const texts = await tokens.encode(inputsOf(call), (index) => inputField(call, index), request.signal);
    const vectors = await batcher.add(texts, request.signal);
    const counted = texts.reduce((sum, { length }) => sum + length, 0);
    promptTokens += counted;
    const cut = vectors.map((vector) => shorten(vector, call.dimensions ?? dimensions));
    const answer = embeddingAnswer(model.id, cut, call.encoding_format ?? "float", counted);
    return new Response(answer, { headers: { "content-type": "application/json" } });
  }

  return {
    routes: { "/v1/embeddings": embed },
    counts: {
      "/v1/embeddings": (body) => tokens.count(inputsOf(parseEmbeddingRequest(body))),
    },
    samples: () => [
      { type: "gauge", name: "inputs_waiting", help: "Texts waiting for a batch.", value: batcher.waiting() },
      { type: "counter", name: "batches_total", help: "Batches computed.", value: batcher.batches() },
      { type: "counter", name: "prompt_tokens_total", help: "Tokens of texts.", value: promptTokens },
    ],
  };
}

function flatten(texts: readonly Int32Array[]): EmbedInput & { ids: Int32Array<ArrayBuffer> } {
  const lengths = texts.map(({ length }) => length);
  const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const text of texts) {
    ids.set(text, at);
    at += text.length;
  }
  return { ids, lengths };
}
