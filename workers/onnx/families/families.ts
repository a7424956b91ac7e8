// The families of models that this worker knows, and which one a model belongs to. Both halves of a family are imported
// only when it is needed, each in its own thread: a worker that embeds texts never reads the code that hears them.

import type { WorkerModel } from "@oxbow/contract";
import { UnusableModel } from "@oxbow/worker";
import type { LoadJobs, OpenRoutes } from "./family.ts";

export interface Family {
  id: string;
  /** @param config the model's config.json, where it has one: `model_type` says what the weights are */
  fits(model: WorkerModel, config: Record<string, unknown> | null): boolean;
  /** The half in the HTTP thread. */
  routes(): Promise<{ openRoutes: OpenRoutes }>;
  /** The half in the inference thread. */
  jobs(): Promise<{ loadJobs: LoadJobs }>;
}

/** The first that fits is taken. */
const FAMILIES: Family[] = [
  {
    id: "diffusion",
    fits: ({ category }) => category === "images",
    routes: () => import("./diffusion.ts"),
    jobs: () => import("./diffusion-jobs.ts"),
  },
  {
    id: "embeddings",
    fits: ({ category }) => category === "embeddings",
    routes: () => import("./embeddings.ts"),
    jobs: () => import("./embeddings-jobs.ts"),
  },
  {
    id: "whisper",
    fits: (_, config) => config?.model_type === "whisper",
    routes: () => import("./whisper.ts"),
    jobs: () => import("./whisper-jobs.ts"),
  },
  {
    id: "kokoro",
    fits: (_, config) => config?.model_type === "style_text_to_speech_2",
    routes: () => import("./kokoro.ts"),
    jobs: () => import("./kokoro-jobs.ts"),
  },
  {
    id: "detection",
    fits: ({ category }) => category === "detection",
    routes: () => import("./detection.ts"),
    jobs: () => import("./detection-jobs.ts"),
  },
];

/** @throws UnusableModel */
export function familyOf(model: WorkerModel, config: Record<string, unknown> | null): Family {
  const family = FAMILIES.find(({ fits }) => fits(model, config));
  if (family) return family;
  const type = typeof config?.model_type === "string" ? ` of the type ${config.model_type.slice(0, 40)}` : "";
  throw new UnusableModel(`cannot be hosted: no family here is for a model of ${model.category}${type}`);
}

export function familyById(id: string): Family {
  const family = FAMILIES.find((each) => each.id === id);
  if (!family) throw new Error(`there is no family ${id}`);
  return family;
}
