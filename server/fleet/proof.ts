// The request that a loaded worker must answer before it counts as warm: one token, through the same door as every call.

import { readAll } from "@oxbow/contract";
import type { Engine } from "../engines/engines.ts";

interface Proof {
  path: string;
  body: object;
}

/** A kind that carries these is asked for them: weights that hold numbers which are none make answers all the same. */
const LOGPROBS = "logprobs";

/** An image of 8 by 8 grey pixels. */
const GREY =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAMAAADz0U65AAAAA1BMVEWAgICQdD0xAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVQImWNgoA4AAABIAAF7pRHIAAAAAElFTkSuQmCC";

/** How a model of each category is asked for the least it can do. A category without a row counts on the worker's word. */
const PROOFS: Record<string, (model: string, engine: Engine) => Proof> = {
  chat: oneToken,
  code: oneToken,
  vision: oneToken,
  // Audio has no row: a model that hears wants a recording, one that speaks a voice of its own. Their workers prove
  // themselves before they say that they are warm.
  embeddings: (model) => ({ path: "/v1/embeddings", body: { model, input: "Hello" } }),
  detection: (model) => ({ path: "/v1/images/detections", body: { model, image: GREY } }),
  images: (model) => ({ path: "/v1/images/generations", body: { model, ...SMALL_IMAGE } }),
};

/** One step of a small image: every graph runs once. */
const SMALL_IMAGE = { prompt: "Hello", size: "256x256", steps: 1, response_format: "b64_json" };

function oneToken(model: string, engine: Engine): Proof {
  const messages = [{ role: "user", content: "Hello" }];
  const logprobs = engine.features.has(LOGPROBS) ? { logprobs: true } : {};
  return { path: "/v1/chat/completions", body: { model, messages, max_completion_tokens: 1, ...logprobs } };
}

/** More than a small image in base64. */
const PROOF_BYTES_MAX = 16 * 1024 * 1024;

/** How a model is asked for it; null: its category has no row. */
export function proofOf({ id, category }: { id: string; category: string }, engine: Engine): Proof | null {
  return Object.hasOwn(PROOFS, category) ? PROOFS[category]!(id, engine) : null;
}

/**
 * Asks every model of an engine for one token; of a simulated one only the first, because its models are all one.
 *
 * @throws Error with a sentence that says which model did not answer, and how
 */
export async function prove(
  engine: Engine,
  models: readonly { id: string; category: string }[],
  signal: AbortSignal,
): Promise<void> {
  const provable = models.filter((model) => Object.hasOwn(PROOFS, model.category));
  for (const model of engine.simulated ? provable.slice(0, 1) : provable) {
    const { path, body } = PROOFS[model.category]!(model.id, engine);
    const answer = await engine.send(path, new TextEncoder().encode(JSON.stringify(body)), { signal });
    // Read to its end: an engine that dies over the first token has sent its headers.
    const bytes = await readAll(answer, PROOF_BYTES_MAX);
    if (!answer.ok || bytes.length === 0) {
      throw new Error(`The model ${model.id} answered its first request with status ${answer.status}.`);
    }
    if (!isSound(bytes)) {
      throw new Error(`The model ${model.id} reckons with numbers that are none (NaN): its weights are damaged.`);
    }
  }
}

/** False when an answer states the likelihood of a token and it is no number; JSON has null for such. */
function isSound(bytes: Uint8Array): boolean {
  let answer: { choices?: { logprobs?: { content?: { logprob?: unknown }[] | null } | null }[] };
  try {
    answer = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return true; // not for us to judge: it did answer
  }
  const stated = answer.choices?.[0]?.logprobs?.content?.[0];
  return stated === undefined || (typeof stated.logprob === "number" && Number.isFinite(stated.logprob));
}
