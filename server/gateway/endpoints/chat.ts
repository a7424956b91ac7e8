// POST /v1/chat/completions.

import { chatTokensBound, maxTokensOf, needsOfChat, parseChatRequest } from "@oxbow/contract";
import { refuseLacking, refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { takeImages } from "../images.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function chat(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { bytes, body } = await readJson(exchange);
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model, body);
  refuseUnable(exchange, model, engine, "text");
  const call = parseChatRequest(body);
  refuseLacking(exchange, model, engine, needsOfChat(call));
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
