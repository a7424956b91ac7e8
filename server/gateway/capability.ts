// Whether a model can do at all what an endpoint is for. A call that the model cannot answer is refused by the model's name,
// and told which one can.

import { ApiError, type Feature } from "@oxbow/contract";
import type { Model } from "../config.ts";
import type { Served } from "../fleet/fleet.ts";
import type { Exchange } from "./exchange.ts";
import { otherModel } from "./relay-call.ts";

/** What a model without the feature does not do. */
const DEEDS: Partial<Record<Feature, string>> = {
  embeddings: "does not turn texts into vectors",
  detection: "does not find objects in images",
  transcription: "does not transcribe recordings",
  translation: "does not translate recordings",
  speech: "does not speak",
};

/** @throws ApiError `unsupported_value` */
export function refuseUnable(exchange: Exchange, model: Model, engine: Served, feature: Feature): void {
  if (exchange.rooms.catalogue.featuresOf(model, engine).has(feature)) return;
  const other = otherModel(exchange)(feature);
  const hint = other === null ? "" : ` \`${other}\` does.`;
  const text = `Unsupported value: 'model'. \`${model.id}\` ${DEEDS[feature] ?? `has no ${feature}`} here.${hint}`;
  throw new ApiError("unsupported_value", text, { param: "model" });
}
