// POST /v1/completions, the older form.

import {
  COMPLETION_TOKENS_DEFAULT,
  completionTokensBound,
  needsOfCompletion,
  parseCompletionRequest,
  promptsOf,
} from "@oxbow/contract";
import { refuseLacking, refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function completions(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { bytes, body } = await readJson(exchange);
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model, body);
  refuseUnable(exchange, model, engine, "text");
  const call = parseCompletionRequest(body);
  refuseLacking(exchange, model, engine, needsOfCompletion(call));
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
