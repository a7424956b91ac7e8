// POST /v1/responses, without a store: translated to a chat request, and the answer back. What a store would be asked for
// is not found.

import {
  ApiError,
  chatTokensBound,
  createRenaming,
  createResponsesAnswer,
  maxTokensOf,
  needsOfChat,
  newId,
  parseResponsesRequest,
  toChat,
  unknownUrl,
} from "@oxbow/contract";
import { refuseLacking, refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { takeImages } from "../images.ts";
import { engineOf, relayCall } from "../relay-call.ts";
import type { Translation } from "../stream.ts";

const encoder = new TextEncoder();

export async function responses(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { body } = await readJson(exchange);
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model, body);
  refuseUnable(exchange, model, engine, "text");
  const call = parseResponsesRequest(body);
  const { chat, paths } = toChat(call, model.id);
  const names = createRenaming(paths);
  refuseLacking(exchange, model, engine, needsOfChat(chat), names.asked);
  const translation = translate(
    createResponsesAnswer({ call, model: model.id, words: names.body, newId, now: Date.now }),
  );
  try {
    return await relayCall(exchange, {
      model,
      engine,
      path: "/v1/chat/completions",
      received: encoder.encode(JSON.stringify(chat)),
      body: { ...chat },
      prepare: takeImages(exchange, chat, model),
      stream: call.stream === true,
      choices: 1,
      generations: 1,
      inputTokens: chatTokensBound(chat),
      inputField: "input",
      outputTokens: maxTokensOf(chat) ?? null,
      outputField: "max_completion_tokens",
      translation,
    });
  } catch (error) {
    throw names.error(error);
  }
}

function translate(answer: ReturnType<typeof createResponsesAnswer>): Translation {
  return {
    whole: (bytes) => encoder.encode(JSON.stringify(answer.whole(bytes))),
    error: answer.fail,
    push: (bytes) => encoder.encode(answer.push(bytes)),
  };
}

/** What there is of a stored response, by method. */
const STORED: Record<string, RegExp> = {
  GET: /^\/v1\/responses\/([^/]+)(\/input_items)?$/,
  DELETE: /^\/v1\/responses\/([^/]+)$/,
  POST: /^\/v1\/responses\/([^/]+)\/cancel$/,
};

/** @throws ApiError `object_not_found`, or `unknown_url` where there would not even be a response */
export function storedResponse(exchange: Exchange): never {
  const { request, path } = exchange;
  identify(exchange);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const id = STORED[method]?.exec(path)?.[1];
  if (id === undefined) throw unknownUrl(method, path);
  const text = `Response with id '${id.slice(0, 64)}' not found. Nothing is stored here.`;
  throw new ApiError("object_not_found", text);
}
