// POST /v1/responses, without a store: translated to a chat request, and the answer back. What a store would be asked for
// is not found.

import {
  ApiError,
  createRenaming,
  createResponsesAnswer,
  newId,
  parseResponsesRequest,
  refuseUnsupported,
  toChat,
} from "@oxbow/contract";
import type { EventStream, Frame } from "../../fleet/fleet.ts";
import { readJson } from "../body.ts";
import { modelOf } from "../catalogue.ts";
import type { Exchange } from "../exchange.ts";
import { engineOf, relayCall, type Translation } from "../relay-call.ts";

const encoder = new TextEncoder();

export async function responses(exchange: Exchange): Promise<Response> {
  const { accounts, catalogue } = exchange.rooms;
  accounts.identify(exchange.request.headers);
  const { body } = await readJson(exchange);
  const model = modelOf(body, catalogue);
  const engine = engineOf(exchange, model);
  const call = parseResponsesRequest(body);
  const { chat, paths } = toChat(call, model.id);
  const names = createRenaming(paths);
  refuseUnsupported(chat, catalogue.featuresOf(model, engine), model.id, names.asked);
  const translation = translate(
    createResponsesAnswer({ call, model: model.id, words: names.body, newId, now: Date.now }),
  );
  const bytes = encoder.encode(JSON.stringify(chat));
  const stream = call.stream === true;
  try {
    return await relayCall(exchange, { model, engine, path: "/v1/chat/completions", bytes, stream, translation });
  } catch (error) {
    throw names.error(error);
  }
}

function translate(answer: ReturnType<typeof createResponsesAnswer>): Translation {
  return {
    whole: (bytes) => encoder.encode(JSON.stringify(answer.whole(bytes))),
    error: answer.fail,
    events(events): EventStream {
      const take = (frame: Frame | null): Frame | null | Promise<Frame | null> => {
        if (frame === null) return null;
        const text = answer.push(frame.bytes);
        // Some chunks make no event of their own, the one with the usage for example.
        if (text === "" && !frame.last) return next();
        return { bytes: encoder.encode(text), last: frame.last, error: frame.error };
      };
      const next = () => events.next().then(take);
      return { next, cancel: events.cancel };
    },
  };
}

/** What there is of a stored response, by method. */
const STORED: Record<string, RegExp> = {
  GET: /^\/v1\/responses\/([^/]+)(\/input_items)?$/,
  DELETE: /^\/v1\/responses\/([^/]+)$/,
  POST: /^\/v1\/responses\/([^/]+)\/cancel$/,
};

/** @throws ApiError `object_not_found`, or `unknown_url` where there would not even be a response */
export function storedResponse({ request, path, rooms }: Exchange): never {
  rooms.accounts.identify(request.headers);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const id = STORED[method]?.exec(path)?.[1];
  if (id === undefined) throw new ApiError("unknown_url", `Invalid URL (${method} ${path.slice(0, 200)})`);
  const text = `Response with id '${id.slice(0, 64)}' not found. Nothing is stored here.`;
  throw new ApiError("object_not_found", text);
}
