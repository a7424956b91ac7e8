// Whether a model can do what is asked of it here: what the endpoint is for, and every field of the call. What it cannot is
// refused by name, with a model that can.

import { ApiError, type Asked, type Feature, type Need, refuseNeeds } from "@oxbow/contract";
import type { Model } from "../config.ts";
import type { Served } from "../fleet/fleet.ts";
import { writesText } from "./catalogue.ts";
import type { Exchange } from "./exchange.ts";

/** What an endpoint is for, and what a model does not do that is for something else. */
const TASKS = {
  text: "does not write text",
  embeddings: "does not turn texts into vectors",
  detection: "does not find objects in images",
  transcription: "does not transcribe recordings",
  translation: "does not translate recordings",
  speech: "does not speak",
  image_generation: "does not make images",
} as const satisfies Partial<Record<Feature | "text", string>>;

export type Task = keyof typeof TASKS;

/** @throws ApiError `unsupported_value`: the model is not for this */
export function refuseUnable(exchange: Exchange, model: Model, engine: Served, task: Task): void {
  if (can(exchange, model, engine, task)) return;
  const other = otherModel(exchange, task);
  const hint = other === null ? "" : ` \`${other}\` does.`;
  const text = `Unsupported value: 'model'. \`${model.id}\` ${TASKS[task]} here.${hint}`;
  throw new ApiError("unsupported_value", text, { param: "model" });
}

/**
 * Refuses the first field, or value of one, that the model cannot obey.
 * @param spelled how the caller spelled it, for calls that were translated from another form
 * @throws ApiError `unsupported_parameter`, `unsupported_value`
 */
export function refuseLacking(
  exchange: Exchange,
  model: Model,
  engine: Served,
  needs: Iterable<Need>,
  spelled?: (asked: Asked) => Asked,
): void {
  const has = exchange.rooms.catalogue.featuresOf(model, engine);
  refuseNeeds(needs, has, model.id, { instead: (feature) => otherModel(exchange, feature), spelled });
}

/** A model served here that can do it and that the caller may use; null: none. */
function otherModel(exchange: Exchange, feature: Feature | Task): string | null {
  const { admission, catalogue, fleet } = exchange.rooms;
  const has = (model: Model) => {
    const engine = fleet.serves(model.id, exchange.caller?.accountId);
    return engine !== null && can(exchange, model, engine, feature);
  };
  const found = catalogue.models.find((model) => admission.allows(exchange.caller!, model) && has(model));
  return found?.id ?? null;
}

function can({ rooms }: Exchange, model: Model, engine: Served, feature: Feature | Task): boolean {
  return feature === "text" ? writesText(model) : rooms.catalogue.featuresOf(model, engine).has(feature);
}
