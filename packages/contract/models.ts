// GET /models and /models/{id}: the model object, with the fields we add to OpenAI's four.

export type ModelState = "warm" | "loading" | "cold" | "failed";

export interface ModelObject {
  id: string;
  object: "model";
  created: number;
  owned_by: string;
  // ours
  category: string;
  tier: string;
  /** How many requests of the day a call counts, where that is not one. */
  weight?: number;
  /** Prompt and answer together, in tokens; null for models that do not read text. */
  context_window: number | null;
  capabilities: string[];
  aliases: string[];
  state: ModelState;
  /** 0 to 1 while loading. */
  progress?: number;
  /** Why a failed model failed, in a sentence for the operator. */
  reason?: string;
  /** True when the answers come from the simulator. */
  simulated?: boolean;
  description?: string;
}

export interface ModelList {
  object: "list";
  data: ModelObject[];
}
