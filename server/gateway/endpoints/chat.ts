// POST /v1/chat/completions.

import { parseChatRequest, refuseUnsupported } from "@oxbow/contract";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import type { Exchange } from "../exchange.ts";
import { bytesFor } from "../forward.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function chat(exchange: Exchange): Promise<Response> {
  const { accounts, catalogue } = exchange.rooms;
  accounts.identify(exchange.request.headers);
  const { bytes, body } = await readJson(exchange);
  const model = modelOf(body, catalogue);
  const engine = engineOf(exchange, model);
  const call = parseChatRequest(body);
  refuseUnsupported(call, catalogue.featuresOf(model, engine), model.id);
  const stream = call.stream === true;
  return relayCall(exchange, {
    model,
    engine,
    path: "/v1/chat/completions",
    bytes: bytesFor(model, body, bytes),
    stream,
  });
}
