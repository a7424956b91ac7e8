// Texts to vectors, the half in the inference thread: one batch of tokens through the model, and of each text the one
// vector that stands for it.

import { type EmbeddingCard, normalise } from "@oxbow/contract";
import { UnusableModel } from "@oxbow/worker";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { openSession } from "../session.ts";
import { graphFile, readJson } from "../weights.ts";
import type { Loaded, Place } from "./family.ts";

/** Tokens of several texts, one after the other. */
export interface EmbedInput {
  ids: Int32Array;
  lengths: number[];
}

export interface EmbedOutput {
  /** The vectors of all texts, one after the other. */
  vectors: Float32Array;
}

export interface EmbedInfo {
  dimensions: number;
}

type Pooling = NonNullable<EmbeddingCard["pooling"]>;

export async function loadJobs({ folder, model, options, threads, progress }: Place): Promise<Loaded> {
  const file = model.file.endsWith(".onnx") ? model.file : graphFile(folder, "model", options.dtype);
  progress(0.1);
  const session = await openSession(file, threads);
  const strange = session.inputNames.find((name) => !Object.hasOwn(INPUTS, name));
  if (strange !== undefined) throw new UnusableModel(`wants an input '${strange.slice(0, 40)}' that texts do not have`);
  const pooling = model.embedding?.pooling ?? poolingOf(folder);
  const unit = model.embedding?.normalise ?? true;

  async function embed({ ids, lengths }: EmbedInput) {
    const longest = Math.max(...lengths);
    const feeds = feedsOf(session, ids, lengths, longest);
    const found = hiddenIn(session, await session.run(feeds));
    const dimensions = found.dims.at(-1)!;
    // A model that was exported in half precision answers in it.
    const values = found.data as Float32Array;
    const vectors = new Float32Array(lengths.length * dimensions);
    for (const [row, length] of lengths.entries()) {
      const vector = vectors.subarray(row * dimensions, (row + 1) * dimensions);
      if (found.dims.length === 2) vector.set(values.subarray(row * dimensions, (row + 1) * dimensions));
      else pool(pooling, values, row * longest * dimensions, length, vector);
      if (unit) normalise(vector);
    }
    return { output: { vectors } satisfies EmbedOutput, transfer: [vectors.buffer], dimensions };
  }

  // Two tokens that every vocabulary has: tells how long the vectors are, and that the graph runs at all.
  progress(0.9);
  const { dimensions } = await embed({ ids: Int32Array.of(0, 0), lengths: [2] }).catch((cause: Error) => {
    throw new UnusableModel(`cannot be run: ${cause.message.replace(/\s+/g, " ").slice(0, 300)}`);
  });
  return { info: { dimensions } satisfies EmbedInfo, jobs: { embed } };
}

/** What a model may want for each token, given its place in the text. */
const INPUTS: Record<string, (id: number, at: number) => bigint> = {
  input_ids: (id) => BigInt(id),
  attention_mask: () => 1n,
  token_type_ids: () => 0n,
  position_ids: (_, at) => BigInt(at),
};

/** Shorter texts are padded with zeros, which the mask hides. */
function feedsOf(session: InferenceSession, ids: Int32Array, lengths: number[], longest: number) {
  const feeds: Record<string, Tensor> = {};
  for (const name of session.inputNames) {
    const values = new BigInt64Array(lengths.length * longest);
    const make = INPUTS[name]!;
    let from = 0;
    for (const [row, length] of lengths.entries()) {
      for (let at = 0; at < length; at++) values[row * longest + at] = make(ids[from + at]!, at);
      from += length;
    }
    feeds[name] = new Tensor("int64", values, [lengths.length, longest]);
  }
  return feeds;
}

/** The vectors of the tokens, or, of a model that pools by itself, of the texts. */
function hiddenIn(session: InferenceSession, outputs: InferenceSession.OnnxValueMapType): Tensor {
  const tensors = session.outputNames.map((name) => outputs[name] as Tensor);
  const found = tensors.find(({ dims }) => dims.length === 3) ?? tensors.find(({ dims }) => dims.length === 2);
  if (!found) throw new UnusableModel("gives no vectors of tokens");
  return found;
}

function pool(pooling: Pooling, values: Float32Array, start: number, length: number, into: Float32Array): void {
  const { length: dimensions } = into;
  if (pooling !== "mean") {
    const from = start + (pooling === "cls" ? 0 : length - 1) * dimensions;
    into.set(values.subarray(from, from + dimensions));
    return;
  }
  for (let at = 0; at < length; at++) {
    const from = start + at * dimensions;
    for (let each = 0; each < dimensions; each++) into[each]! += values[from + each]!;
  }
  for (let each = 0; each < dimensions; each++) into[each]! /= length;
}

/** How the model says that its texts are pooled, in the file of sentence-transformers; the mean when it does not. */
function poolingOf(folder: string): Pooling {
  const said = readJson(folder, "1_Pooling/config.json") ?? {};
  if (said.pooling_mode_cls_token === true) return "cls";
  return said.pooling_mode_lasttoken === true ? "last" : "mean";
}
