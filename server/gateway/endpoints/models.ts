// GET /v1/models and /v1/models/{id}: what can be called here, in what state it is.

import type { ModelList, ModelObject } from "@oxbow/contract";
import type { Model } from "../../config.ts";
import type { ModelStatus } from "../../fleet/fleet.ts";
import { notFound } from "../catalogue.ts";
import { type Exchange, identify, sendJson } from "../exchange.ts";

export function listModels(exchange: Exchange): Response {
  const { catalogue, fleet } = exchange.rooms;
  identify(exchange);
  const states = new Map(fleet.states().map((status) => [status.id, status]));
  const data = catalogue.models.flatMap((model) => {
    const status = states.get(model.id);
    return status ? [objectOf(model, status, exchange)] : [];
  });
  return sendJson(exchange, { object: "list", data } satisfies ModelList);
}

export function getModel(exchange: Exchange): Response {
  const { catalogue, fleet } = exchange.rooms;
  identify(exchange);
  const name = decodeOnce(exchange.path.slice("/v1/models/".length));
  const model = catalogue.find(name) ?? notFound(name);
  const status = fleet.states().find((each) => each.id === model.id);
  return sendJson(exchange, objectOf(model, status ?? notFound(name), exchange));
}

/** `%2F` is a slash of the id: ids of the form `organisation/model` arrive like this. */
function decodeOnce(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray percent sign: taken literally, and not found
  }
}

function objectOf(model: Model, status: ModelStatus, exchange: Exchange): ModelObject {
  const engine = exchange.rooms.fleet.serves(model.id, exchange.caller?.accountId);
  const features = engine && exchange.rooms.catalogue.featuresOf(model, engine);
  return {
    id: model.id,
    object: "model",
    created: model.created,
    owned_by: model.ownedBy,
    category: model.category,
    tier: model.tier,
    ...(model.weight === 1 ? {} : { weight: model.weight }),
    // What the engine has made of it, where it says so: it can be less than what the weights take.
    context_window: status.contextTokens ?? model.contextTokens,
    capabilities: features ? [...features].sort() : model.capabilities,
    aliases: model.aliases,
    state: status.state,
    ...(status.progress === undefined ? {} : { progress: status.progress }),
    ...(status.reason === undefined ? {} : { reason: status.reason }),
    ...(status.simulated ? { simulated: true } : {}),
    ...(model.description === undefined ? {} : { description: model.description }),
  };
}
