// Whisper's two graphs as functions: sound to what was heard, and tokens to what may come next, with what was attended to
// kept from step to step.

import { UnusableModel } from "@oxbow/worker";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { openSession } from "../session.ts";
import { graphFile } from "../weights.ts";
import type { Place } from "./family.ts";
import { FRAMES } from "./whisper-mel.ts";

type Past = Record<string, Tensor>;

export interface Step {
  /** Scores of the vocabulary for each of the step's tokens, one after the other. */
  logits: Float32Array;
  vocabulary: number;
  past: Past;
  /** By layer, when the graph tells: heads × tokens × frames. */
  attention: Tensor[];
}

export interface WhisperGraphs {
  /** Whether it tells what it attends to. */
  tellsAttention: boolean;
  hear(mel: Float32Array): Promise<Tensor>;
  /** @param past of the step before; null for the first, whose tokens are all that was said so far */
  say(tokens: readonly number[], heard: Tensor, past: Past | null): Promise<Step>;
}

/** @throws UnusableModel for graphs that are no Whisper's */
export async function openGraphs({ folder, options, threads, progress }: Place, bands: number): Promise<WhisperGraphs> {
  const encoder = await openSession(graphFile(folder, "encoder_model", options.dtype), threads);
  progress(0.5);
  const decoder = await openSession(graphFile(folder, "decoder_model_merged", options.dtype), threads);
  progress(0.9);
  for (const [session, names] of [
    [encoder, ["input_features"]],
    [decoder, ["input_ids", "encoder_hidden_states", "use_cache_branch"]],
  ] as const) {
    const missing = names.find((name) => !session.inputNames.includes(name));
    if (missing) throw new UnusableModel(`has a graph without the input ${missing}`);
  }
  const kept = decoder.inputNames.filter((name) => name.startsWith("past_key_values."));
  const none = emptyPast(decoder, kept);
  const layers = decoder.outputNames.filter((name) => name.startsWith("cross_attentions.")).length;

  return {
    tellsAttention: layers > 0,

    async hear(mel) {
      const found = await encoder.run({ input_features: new Tensor("float32", mel, [1, bands, FRAMES]) });
      return (found.last_hidden_state ?? found[encoder.outputNames[0]!]) as Tensor;
    },

    async say(tokens, heard, past) {
      const ids = new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]);
      const found = await decoder.run({
        input_ids: ids,
        encoder_hidden_states: heard,
        use_cache_branch: new Tensor("bool", Uint8Array.of(past === null ? 0 : 1), [1]),
        ...(past ?? none),
      });
      const logits = found.logits as Tensor;
      const now: Past = {};
      for (const name of kept) {
        // What was heard stays what it was: later steps answer with nothing in its place.
        const isHeard = past !== null && name.includes(".encoder.");
        now[name] = isHeard ? past[name]! : (found[name.replace("past_key_values", "present")] as Tensor);
      }
      return {
        logits: logits.data as Float32Array,
        vocabulary: logits.dims.at(-1)!,
        past: now,
        attention: Array.from({ length: layers }, (_, layer) => found[`cross_attentions.${layer}`] as Tensor),
      };
    },
  };
}

/** Before the first step: tensors without a single entry, of the shapes that the graph declares. */
function emptyPast(decoder: InferenceSession, names: string[]): Past {
  const past: Past = {};
  for (const name of names) {
    const about = decoder.inputMetadata.find((each) => each.name === name);
    const shape = about?.isTensor ? about.shape : [];
    const [heads, size] = [shape[1], shape[3]];
    if (typeof heads !== "number" || typeof size !== "number") {
      throw new UnusableModel(`has a decoder whose ${name.slice(0, 60)} is of no known shape`);
    }
    past[name] = new Tensor("float32", new Float32Array(0), [1, heads, 0, size]);
  }
  return past;
}
