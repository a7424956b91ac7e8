// From the parameters of a request to the settings of a sampler, and from log-probabilities to their shape on the wire.

import {
  ApiError,
  type ChatRequest,
  type CompletionRequest,
  type TokenLogprob,
  type TopLogprob,
} from "@oxbow/contract";
import type { Grammar, Logprobs, SamplerSettings } from "./native.ts";
import { printBytes, type Vocabulary } from "./vocabulary.ts";

/**
 * Settings for each choice of a call: choice i draws with `seed + i`, so choices differ and a repeated call repeats them.
 *
 * @param contextTokens how far penalties look back: as far as there can be text
 * @param randomSeed for calls without a seed
 * @throws ApiError `invalid_value` for a token in `logit_bias` that the model does not have
 */
export function samplingOf(
  call: ChatRequest | CompletionRequest,
  vocabulary: Vocabulary,
  contextTokens: number,
  randomSeed: () => number,
): (choice: number, grammar: Grammar | null) => SamplerSettings {
  const bias = biasOf(call.logit_bias ?? {}, vocabulary.size);
  const seed = call.seed ?? randomSeed();
  return (choice, grammar) => ({
    temperature: call.temperature ?? 1,
    topP: call.top_p ?? 1,
    // The engine's seeds have 32 bits. BigInt, for a seed may be larger than what doubles add exactly.
    seed: Number(BigInt.asUintN(32, BigInt(seed) + BigInt(choice))),
    frequencyPenalty: call.frequency_penalty ?? 0,
    presencePenalty: call.presence_penalty ?? 0,
    penaltyTokens: contextTokens,
    bias,
    grammar,
  });
}

function biasOf(given: Record<string, number>, vocabularySize: number): NonNullable<SamplerSettings["bias"]> {
  const entries = Object.entries(given);
  for (const [token] of entries) {
    if (/^\d+$/.test(token) && Number(token) < vocabularySize) continue;
    const text = `Invalid key in 'logit_bias': '${token.slice(0, 32)}'. Keys must be token ids of this model, from 0 to ${vocabularySize - 1}.`;
    throw new ApiError("invalid_value", text, { param: "logit_bias" });
  }
  return {
    tokens: Uint32Array.from(entries, ([token]) => Number(token)),
    values: Float32Array.from(entries, ([, value]) => value),
  };
}

/** One entry of `logprobs.content`. */
export function tokenLogprob(token: number, logprobs: Logprobs, vocabulary: Vocabulary): TokenLogprob {
  const entry = (id: number, logprob: number): TopLogprob => {
    const bytes = vocabulary.bytesOf(id);
    return { token: printBytes(bytes), logprob, bytes: [...bytes] };
  };
  return {
    ...entry(token, logprobs.chosen),
    top_logprobs: logprobs.top.map((top) => entry(top.token, top.logprob)),
  };
}
