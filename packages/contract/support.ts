// Which parameters need something that not every model or engine has. What a request asks for and nobody here can give
// is refused by name: a parameter is obeyed or refused, never silently dropped.

import type { ChatRequest } from "./chat.ts";
import type { CompletionRequest } from "./completions.ts";
import { ApiError } from "./errors.ts";
import type { ImageRequest, ImageTask } from "./images.ts";

/** What a model on an engine can do. Named in data/models.yaml (what the model can) and data/engines.yaml (what the kind carries). */
export const FEATURES = [
  "tools",
  "custom_tools",
  "vision",
  "reasoning",
  "verbosity",
  "audio_input",
  "audio_output",
  "file_input",
  "structured_outputs",
  "logprobs",
  "logit_bias",
  "penalties",
  "seed",
  "multiple_choices",
  "suffix",
  "echo",
  "best_of",
  "prediction",
  "web_search",
  "moderation",
  "transcription",
  "translation",
  "transcription_stream",
  "transcription_logprobs",
  "word_timestamps",
  "diarization",
  "chunking",
  "keywords",
  "speech",
  "speech_stream",
  "speech_instructions",
  "custom_voices",
  "image_generation",
  "image_edits",
  "image_streaming",
  "image_response_format",
  "transparent_background",
  "input_fidelity",
  "diffusion",
  "embeddings",
  "detection",
] as const;
export type Feature = (typeof FEATURES)[number];

/** A field, or a value of it, as the caller spelled it. */
export interface Asked {
  param: string;
  /** For a value that is refused while the field itself is fine. */
  value?: string;
}

/** A field, or a value of it, that needs `feature`. */
export interface Need extends Asked {
  feature: Feature;
}

/**
 * Refuses the first need that `has` lacks.
 *
 * @param model the id to name in the message
 * @param instead a model that has the feature and that the caller may use; null: none that we know of
 * @param spelled how the caller spelled it, for calls that were translated from another form
 * @throws ApiError `unsupported_parameter` or `unsupported_value`
 */
export function refuseNeeds(
  needs: Iterable<Need>,
  has: ReadonlySet<string>,
  model: string,
  {
    instead = () => null,
    spelled = (asked) => asked,
  }: { instead?: (feature: Feature) => string | null; spelled?: ((asked: Asked) => Asked) | undefined } = {},
): void {
  for (const need of needs) {
    if (has.has(need.feature)) continue;
    const { param, value } = spelled(need);
    const other = instead(need.feature);
    const hint = other === null ? "" : ` The model \`${other}\` does.`;
    if (value === undefined) {
      const text = `Unsupported parameter: '${param}' is not supported with the model \`${model}\`.${hint}`;
      throw new ApiError("unsupported_parameter", text, { param });
    }
    const text = `Unsupported value: '${param}' does not support ${value} with the model \`${model}\`.${hint}`;
    throw new ApiError("unsupported_value", text, { param });
  }
}

export function* needsOfImage(task: ImageTask, call: ImageRequest): Generator<Need> {
  // The path itself asks for it; the image is what shows that.
  if (task === "image_edit") yield { feature: "image_edits", param: "image" };
  if (call.seed !== undefined) yield { feature: "seed", param: "seed" };
  for (const param of ["negative_prompt", "steps", "guidance_scale", "strength"] as const) {
    if (call[param] !== undefined) yield { feature: "diffusion", param };
  }
  // Low is what all do that are told nothing.
  if ("input_fidelity" in call && call.input_fidelity === "high") {
    yield { feature: "input_fidelity", param: "input_fidelity", value: "'high'" };
  }
  if (call.background === "transparent") {
    yield { feature: "transparent_background", param: "background", value: "'transparent'" };
  }
}

export function needsOfChat(call: ChatRequest): Need[] {
  const needs: Need[] = [];
  if (call.tools || call.functions) needs.push({ feature: "tools", param: call.tools ? "tools" : "functions" });
  for (const [index, tool] of call.tools?.entries() ?? []) {
    if (tool.type === "custom")
      needs.push({ feature: "custom_tools", param: `tools[${index}].type`, value: "'custom'" });
  }
  if (call.response_format && call.response_format.type !== "text") {
    needs.push({ feature: "structured_outputs", param: "response_format" });
  }
  if (call.reasoning_effort !== undefined) needs.push({ feature: "reasoning", param: "reasoning_effort" });
  if (call.verbosity !== undefined && call.verbosity !== "medium") {
    needs.push({ feature: "verbosity", param: "verbosity", value: `'${call.verbosity}'` });
  }
  if (call.modalities?.includes("audio"))
    needs.push({ feature: "audio_output", param: "modalities", value: "'audio'" });
  if (call.audio) needs.push({ feature: "audio_output", param: "audio" });
  if (call.prediction) needs.push({ feature: "prediction", param: "prediction" });
  if (call.web_search_options) needs.push({ feature: "web_search", param: "web_search_options" });
  if (call.moderation !== undefined) needs.push({ feature: "moderation", param: "moderation" });
  if (call.logprobs) needs.push({ feature: "logprobs", param: "logprobs" });
  addNeedsOfSampling(call, needs);
  addNeedsOfParts(call, needs);
  return needs;
}

function addNeedsOfParts(call: ChatRequest, needs: Need[]): void {
  for (const [index, message] of call.messages.entries()) {
    if (message.role !== "user" || typeof message.content === "string") continue;
    for (const [at, part] of message.content.entries()) {
      const feature = PART_FEATURES[part.type];
      if (feature) needs.push({ feature, param: `messages[${index}].content[${at}].type`, value: `'${part.type}'` });
    }
  }
}

const PART_FEATURES: Record<string, Feature> = {
  image_url: "vision",
  input_audio: "audio_input",
  file: "file_input",
};

export function needsOfCompletion(call: CompletionRequest): Need[] {
  const needs: Need[] = [];
  if (call.suffix) needs.push({ feature: "suffix", param: "suffix" });
  if (call.echo) needs.push({ feature: "echo", param: "echo" });
  if (call.best_of !== undefined && call.best_of > (call.n ?? 1)) needs.push({ feature: "best_of", param: "best_of" });
  if (call.logprobs !== undefined) needs.push({ feature: "logprobs", param: "logprobs" });
  addNeedsOfSampling(call, needs);
  return needs;
}

function addNeedsOfSampling(call: ChatRequest | CompletionRequest, needs: Need[]): void {
  if (call.n !== undefined && call.n > 1) needs.push({ feature: "multiple_choices", param: "n" });
  if (call.seed !== undefined) needs.push({ feature: "seed", param: "seed" });
  if (call.logit_bias && Object.keys(call.logit_bias).length > 0)
    needs.push({ feature: "logit_bias", param: "logit_bias" });
  if (call.frequency_penalty) needs.push({ feature: "penalties", param: "frequency_penalty" });
  if (call.presence_penalty) needs.push({ feature: "penalties", param: "presence_penalty" });
}
