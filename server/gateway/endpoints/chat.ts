// POST /v1/chat/completions.

import { chatTokensBound, maxTokensOf, parseChatRequest, refuseUnsupported } from "@oxbow/contract";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { takeImages } from "../images.ts";
import { engineOf, otherModel, relayCall } from "../relay-call.ts";

export async function chat(exchange: Exchange): Promise<Response> {
  const { catalogue } = exchange.rooms;
  identify(exchange);
  const { bytes, body } = await readJson(exchange);
  const model = modelOf(body, catalogue);
  const engine = engineOf(exchange, model, body);
  const call = parseChatRequest(body);
  refuseUnsupported(call, catalogue.featuresOf(model, engine), model.id, undefined, otherModel(exchange));
  return relayCall(exchange, {
    model,
    engine,
    path: "/v1/chat/completions",
    received: bytes,
    body,
    prepare: takeImages(exchange, call, model),
    stream: call.stream === true,
    choices: call.n ?? 1,
    generations: call.n ?? 1,
    inputTokens: chatTokensBound(call),
    inputField: "messages",
    outputTokens: maxTokensOf(call) ?? null,
    outputField:
      call.max_completion_tokens === undefined && call.max_tokens !== undefined
        ? "max_tokens"
        : "max_completion_tokens",
  });
}
