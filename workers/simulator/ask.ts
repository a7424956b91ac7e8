// What the two text endpoints share: the call as the server hands it on, and the reading of fields that both have.

import { ApiError, type ChatRequest, type CompletionRequest, FEATURES, type WorkerModel } from "@oxbow/contract";
import type { Engine } from "./engine.ts";
import type { Simulation } from "./faults.ts";
import type { Sampling } from "./logprobs.ts";
import { isToken } from "./tokenizer.ts";

export interface Ask {
  body: Record<string, unknown>;
  model: WorkerModel;
  engine: Engine;
  simulation: Simulation;
  /** Whether a stream tells its token counts behind `[DONE]`. */
  wantsUsage: boolean;
  /** Aborts when the caller hangs up. */
  signal: AbortSignal;
}

/** Says in every answer where it comes from. */
export const FINGERPRINT = "fp_simulated";

/** What the simulator does not imitate. */
const LACKING: ReadonlySet<string> = new Set([
  "custom_tools",
  "audio_output",
  "prediction",
  "web_search",
  "moderation",
  "transcription_logprobs",
  "diarization",
  "chunking",
  "keywords",
  "custom_voices",
  "input_fidelity",
]);
/** What it does for models that can. */
const OF_MODEL: ReadonlySet<string> = new Set([
  "vision",
  "reasoning",
  "transcription",
  "translation",
  "speech",
  "speech_instructions",
]);

/** What a model can do here, in the words of the contract's FEATURES. */
export function featuresOf(model: WorkerModel): Set<string> {
  return new Set(
    FEATURES.filter(
      (feature) => !LACKING.has(feature) && (!OF_MODEL.has(feature) || model.capabilities.includes(feature)),
    ),
  );
}

/** @throws ApiError for a model that does not write text */
export function refuseOtherCategory(model: WorkerModel): void {
  if (TEXT_CATEGORIES.has(model.category)) return;
  const text = `Unsupported value: 'model'. \`${model.id}\` is a model for ${model.category} and does not write text.`;
  throw new ApiError("unsupported_value", text, { param: "model" });
}

const TEXT_CATEGORIES: ReadonlySet<string> = new Set(["chat", "code", "vision"]);

/** @param topLogprobs null when no log-probabilities are wanted */
export function samplingOf(call: ChatRequest | CompletionRequest, topLogprobs: number | null): Sampling {
  const bias = new Map<number, number>();
  for (const [key, value] of Object.entries(call.logit_bias ?? {})) {
    const id = Number(key);
    if (!isToken(id)) {
      const text = `Invalid key in 'logit_bias': '${key.slice(0, 64)}'. You should only be submitting token ids.`;
      throw new ApiError("invalid_value", text, { param: "logit_bias" });
    }
    bias.set(id, value);
  }
  const { frequency_penalty: frequencyPenalty = 0, presence_penalty: presencePenalty = 0 } = call;
  return { bias, frequencyPenalty, presencePenalty, topLogprobs };
}

export function stopsOf(call: ChatRequest | CompletionRequest): string[] {
  return typeof call.stop === "string" ? [call.stop] : (call.stop ?? []);
}

/** Goes through the choices side by side: one piece holds what each of them says in that step. */
export function* choicesInStep(choices: Iterator<string>[]): Generator<string> {
  let left = choices;
  while (left.length > 0) {
    let piece = "";
    left = left.filter((choice) => {
      const { done, value } = choice.next();
      if (!done) piece += value;
      return !done;
    });
    if (piece !== "") yield piece;
  }
}
