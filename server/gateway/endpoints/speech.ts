// POST /v1/audio/speech: a text in, sound out, as it is made.

import { charactersOf, needsOfSpeech, parseSpeechRequest } from "@oxbow/contract";
import { refuseLacking, refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function speech(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { bytes, body } = await readJson(exchange);
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model);
  refuseUnable(exchange, model, engine, "speech");
  const call = parseSpeechRequest(body);
  refuseLacking(exchange, model, engine, needsOfSpeech(call));
  return relayCall(exchange, {
    model,
    engine,
    path: "/v1/audio/speech",
    received: bytes,
    body,
    measures: [{ limit: "speechCharactersMax", amount: charactersOf(call.input), field: "input" }],
    // Sound cannot be kept waiting with comments: only events are promised before the engine has begun.
    stream: call.stream_format === "sse",
    choices: 1,
    generations: 1,
    inputTokens: 0,
    inputField: "input",
    outputTokens: null,
    outputField: null,
  });
}
