// POST /v1/completions, the older form.

import {
  COMPLETION_TOKENS_DEFAULT,
  completionTokensBound,
  parseCompletionRequest,
  promptsOf,
  refuseUnsupported,
} from "@oxbow/contract";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function completions(exchange: Exchange): Promise<Response> {
  const { catalogue } = exchange.rooms;
  identify(exchange);
  const { bytes, body } = await readJson(exchange);
  const model = modelOf(body, catalogue);
  const engine = engineOf(exchange, model, body);
  const call = parseCompletionRequest(body);
  refuseUnsupported(call, catalogue.featuresOf(model, engine), model.id);
  return relayCall(exchange, {
    model,
    engine,
    path: "/v1/completions",
    received: bytes,
    body,
    stream: call.stream === true,
    choices: promptsOf(call).length * (call.n ?? 1),
    generations: promptsOf(call).length * Math.max(call.n ?? 1, call.best_of ?? 1),
    inputTokens: completionTokensBound(call),
    inputField: "prompt",
    outputTokens: call.max_tokens ?? COMPLETION_TOKENS_DEFAULT,
    outputField: "max_tokens",
  });
}
