// Finds a model by the name a client uses: its id or one of its aliases.

import { ApiError, type Feature, modelNotFound } from "@oxbow/contract";
import type { Model } from "../config.ts";
import type { Served } from "../fleet/fleet.ts";

export interface Catalogue {
  models: readonly Model[];
  find(name: string): Model | undefined;
  /** What `model` can do where it is served: what its engines carry, and of the model's own abilities those it has. */
  featuresOf(model: Model, served: Served): ReadonlySet<string>;
}

export function createCatalogue(models: readonly Model[]): Catalogue {
  const byName = new Map<string, Model>();
  for (const model of models) for (const name of [model.id, ...model.aliases]) byName.set(name, model);
  /** By the engines' own set, of which there are few; another one after a reload. */
  const features = new Map<string, WeakMap<ReadonlySet<string>, ReadonlySet<string>>>();

  return {
    models,
    find: (name) => byName.get(name),
    featuresOf: (model, served) => {
      const ofModel = features.get(model.id) ?? new WeakMap();
      features.set(model.id, ofModel);
      const known = ofModel.get(served.features);
      if (known) return known;
      const has = (name: string) =>
        OF_THE_MODEL.has(name) ? model.capabilities.includes(name) : categoriesOf(name).includes(model.category);
      const set = new Set([...served.features].filter(has));
      ofModel.set(served.features, set);
      return set;
    },
  };
}

/** Abilities that weights have or have not; the other features are the engine's alone. */
const OF_THE_MODEL: ReadonlySet<string> = new Set<Feature>([
  "tools",
  "vision",
  "reasoning",
  "audio_input",
  "audio_output",
  "file_input",
  "transcription",
  "translation",
  "speech",
  "speech_instructions",
  "image_generation",
  "image_edits",
  "embeddings",
  "detection",
]);

/** What an engine can do with answers of one sort is nothing to a model of another. The rest is about text. */
const OF_SOUND: ReadonlySet<string> = new Set<Feature>([
  "transcription_stream",
  "transcription_logprobs",
  "word_timestamps",
  "diarization",
  "chunking",
  "keywords",
  "speech_stream",
  "custom_voices",
]);
const OF_IMAGES: ReadonlySet<string> = new Set<Feature>([
  "image_streaming",
  "image_response_format",
  "transparent_background",
  "input_fidelity",
  "diffusion",
]);

function categoriesOf(feature: string): readonly Model["category"][] {
  if (OF_SOUND.has(feature)) return ["audio"];
  if (OF_IMAGES.has(feature)) return ["images"];
  return feature === "seed" ? [...OF_TEXT, "images"] : OF_TEXT;
}

const OF_TEXT: readonly Model["category"][] = ["chat", "code", "vision"];

export function writesText({ category }: Model): boolean {
  return OF_TEXT.includes(category);
}

/**
 * The model that a body names.
 * @throws ApiError `missing_required_parameter`, `invalid_type`, `model_not_found`
 */
export function modelOf(body: Record<string, unknown>, catalogue: Catalogue): Model {
  const name = body.model;
  if (name === undefined || name === null) {
    throw new ApiError("missing_required_parameter", "Missing required parameter: 'model'.", { param: "model" });
  }
  if (typeof name !== "string") {
    const kind = Array.isArray(name) ? "an array" : typeof name === "object" ? "an object" : `a ${typeof name}`;
    const text = `Invalid type for 'model': expected a string, but got ${kind} instead.`;
    throw new ApiError("invalid_type", text, { param: "model" });
  }
  return catalogue.find(name) ?? notFound(name);
}

/** @throws ApiError `model_not_found`, always */
export function notFound(name: string, hint = ""): never {
  throw modelNotFound(name, hint);
}
