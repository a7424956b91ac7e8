// The request that a loaded worker must answer before it counts as warm: one token, through the same door as every call. The
// same is asked again of one that has been idle for long (keep-warm.ts).

import { readAll, TranscriptionRequest, writeForm } from "@oxbow/contract";
import type { Engine } from "../engines/engines.ts";

interface Proof {
  path: string;
  bytes: Uint8Array;
  contentType: string;
  /** It names what a model may not have: that refusal says nothing of how it is. */
  mayBeRefused?: boolean;
}

/** What a model is asked for. */
export interface Provable {
  id: string;
  category: string;
  capabilities: readonly string[];
  speech?: { voices: readonly string[] };
}

/** A kind that carries these is asked for them: weights that hold numbers which are none make answers all the same. */
const LOGPROBS = "logprobs";

/** An image of 8 by 8 grey pixels. */
const GREY =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAMAAADz0U65AAAAA1BMVEWAgICQdD0xAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVQImWNgoA4AAABIAAF7pRHIAAAAAElFTkSuQmCC";

/** How a model of each category is asked for the least it can do; null: nobody knows how. */
const PROOFS: Record<string, (model: Provable, engine: Engine) => Proof | null> = {
  chat: oneToken,
  code: oneToken,
  vision: oneToken,
  embeddings: ({ id }) => json("/v1/embeddings", { model: id, input: "Hello" }),
  detection: ({ id }) => json("/v1/images/detections", { model: id, image: GREY }),
  images: oneImage,
  audio: oneSecond,
};

/** One step of a small image: every graph runs once. Who cannot be told how to give it has sizes of his own, too. */
function oneImage({ id: model }: Provable, engine: Engine): Proof {
  const small = { size: "256x256", steps: 1, response_format: "b64_json" };
  const least = engine.features.has("image_response_format") ? small : {};
  return json("/v1/images/generations", { model, prompt: "Hello", ...least });
}

function json(path: string, body: object): Proof {
  return { path, bytes: new TextEncoder().encode(JSON.stringify(body)), contentType: "application/json" };
}

function oneToken({ id: model, capabilities }: Provable, engine: Engine): Proof {
  const text = { type: "text", text: "Hello" };
  // What a server elsewhere takes of an image is its own affair.
  const sees = engine.remote === null && engine.features.has("vision") && capabilities.includes("vision");
  const content = sees ? [{ type: "image_url", image_url: { url: GREY } }, text] : text.text;
  const logprobs = engine.features.has(LOGPROBS) ? { logprobs: true } : {};
  const messages = [{ role: "user", content }];
  return json("/v1/chat/completions", { model, messages, max_completion_tokens: 1, ...logprobs });
}

/** A word to say, or a second to hear. Servers elsewhere have voices of their own, and may not like silence. */
function oneSecond({ id: model, capabilities, speech }: Provable, engine: Engine): Proof | null {
  if (engine.remote !== null) return null;
  if (capabilities.includes("speech")) {
    const body = { model, input: "Hello", voice: speech?.voices[0] ?? VOICE, response_format: "pcm" };
    return { ...json("/v1/audio/speech", body), mayBeRefused: true };
  }
  if (!capabilities.includes("transcription")) return null;
  // Above 0 it is heard once, and not again and again because it makes little sense.
  const fields = new Map([
    ["model", [model]],
    ["temperature", ["0.1"]],
  ]);
  const file = { name: "file", filename: "silence.wav", contentType: "audio/wav", bytes: silence() };
  return { path: "/v1/audio/transcriptions", ...writeForm({ fields, files: [file] }, TranscriptionRequest) };
}

/** For a model of which the catalogue names none. */
const VOICE = "af_heart";

/** A second of nothing, as a WAV file of 8 kHz and 16 bits: 44 bytes of head, then the samples. */
function silence(): Uint8Array {
  const rate = 8_000;
  const bytes = Buffer.alloc(44 + 2 * rate);
  bytes.write("RIFF", 0, "latin1");
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8, "latin1");
  bytes.writeUInt32LE(16, 16); // bytes of the format
  bytes.writeUInt16LE(1, 20); // PCM
  bytes.writeUInt16LE(1, 22); // channel
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * rate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36, "latin1");
  bytes.writeUInt32LE(2 * rate, 40);
  return bytes;
}

/** More than a small image in base64. */
const PROOF_BYTES_MAX = 16 * 1024 * 1024;

/** How a model is asked for it; null: nobody knows how, and its worker's word counts. */
export function proofOf(model: Provable, engine: Engine): Proof | null {
  return Object.hasOwn(PROOFS, model.category) ? PROOFS[model.category]!(model, engine) : null;
}

/**
 * Asks every model of an engine for the least it can do; of a simulated one only the first, because its models are all one.
 *
 * @throws Error with a sentence that says which model did not answer, and how
 */
export async function prove(engine: Engine, models: readonly Provable[], signal: AbortSignal): Promise<void> {
  const proofs = models.flatMap((model) => {
    const proof = proofOf(model, engine);
    return proof === null ? [] : [{ id: model.id, ...proof }];
  });
  for (const { id, path, bytes: body, contentType, mayBeRefused } of engine.simulated ? proofs.slice(0, 1) : proofs) {
    const answer = await engine.send(path, body, { signal, contentType });
    // Read to its end: an engine that dies over the first token has sent its headers.
    const bytes = await readAll(answer, PROOF_BYTES_MAX);
    if (mayBeRefused && answer.status === 400) continue;
    if (!answer.ok || bytes.length === 0) {
      throw new Error(`The model ${id} answered its first request with status ${answer.status}.`);
    }
    if (!isSound(bytes)) {
      throw new Error(`The model ${id} reckons with numbers that are none (NaN): its weights are damaged.`);
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
