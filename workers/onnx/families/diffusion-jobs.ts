// Texts to images, the half in the inference thread: the four graphs of a diffusion pipeline, each one job. The way through
// them is diffusion.ts's, so that requests take turns between steps.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { UnusableModel } from "@oxbow/worker";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { halfTensor, openSession } from "../session.ts";
import { graphFile, readJson } from "../weights.ts";
import type { Loaded, Place } from "./family.ts";

/** Numbers with their shape. */
export interface Numbers {
  values: Float32Array;
  dims: number[];
}

export interface TextInput {
  /** One row for each text, by tokenizer. */
  ids: number[][][];
}

export interface TextOutput {
  /** For the model's attention: texts, tokens, width. */
  hidden: Numbers;
  /** One vector for each text, of models with two encoders. */
  pooled: Numbers | null;
}

export interface DenoiseInput {
  /** Already scaled: batch, channels, height, width. */
  sample: Numbers;
  timestep: number;
  text: TextOutput;
  /** Sizes and crops, for models that were trained to be told: six for each of the batch. */
  timeIds: Numbers | null;
  /** How closely the text is to be followed, for models that were distilled to be told. */
  guidance: Numbers | null;
}

export interface DiffusionInfo {
  /** Latent channels. */
  channels: number;
  /** Pixels along one side of a latent pixel. */
  factor: number;
  /** Latents are multiplied by this on their way to the model. */
  scaling: number;
  /** Whether there are two text encoders, and sizes are told. */
  large: boolean;
  /** Width of the embedding of guidance; null: it is not told. */
  guidanceWidth: number | null;
  /** Whether there is a graph that makes latents of an image. */
  edits: boolean;
}

export async function loadJobs({ folder, options, threads, progress }: Place): Promise<Loaded> {
  const open = (part: string) => openSession(graphFile(join(folder, part), "model", options.dtype), threads);
  const has = (part: string) => existsSync(join(folder, part));
  const encoder = await open("text_encoder");
  const second = has("text_encoder_2") ? await open("text_encoder_2") : null;
  progress(0.3);
  const unet = await open("unet");
  progress(0.8);
  const decoder = await open("vae_decoder");
  const maker = has("vae_encoder") ? await open("vae_encoder") : null;

  const unetConfig = readJson(folder, "unet/config.json") ?? {};
  const vaeConfig = readJson(folder, "vae_decoder/config.json") ?? {};
  const channels = typeof unetConfig.in_channels === "number" ? unetConfig.in_channels : 4;
  if (channels !== 4) {
    throw new UnusableModel(`wants ${channels} channels: only models of 4 are hosted here`);
  }
  const blocks = Array.isArray(vaeConfig.block_out_channels) ? vaeConfig.block_out_channels.length : 4;
  const info: DiffusionInfo = {
    channels,
    factor: 2 ** (blocks - 1),
    scaling: typeof vaeConfig.scaling_factor === "number" ? vaeConfig.scaling_factor : 0.18215,
    large: second !== null,
    guidanceWidth: widthOf(unet, "timestep_cond"),
    edits: maker !== null,
  };

  async function text({ ids }: TextInput) {
    const [first, other] = ids;
    if (!second) {
      const hidden = await run(encoder, { input_ids: rows(first!) }, "last_hidden_state");
      return result({ hidden, pooled: null } satisfies TextOutput);
    }
    const one = await runAll(encoder, { input_ids: rows(first!) });
    const two = await runAll(second, { input_ids: rows(other!) });
    const hidden = beside(beforeLast(encoder, one), beforeLast(second, two));
    return result({ hidden, pooled: numbersOf(two.text_embeds ?? two[second.outputNames[0]!]!) } satisfies TextOutput);
  }

  async function denoise({ sample, timestep, text, timeIds, guidance }: DenoiseInput) {
    const feeds: Record<string, Numbers> = {
      sample,
      timestep: { values: Float32Array.of(timestep), dims: timestepDims(unet) },
      encoder_hidden_states: text.hidden,
      ...(text.pooled && { text_embeds: text.pooled }),
      ...(timeIds && { time_ids: timeIds }),
      ...(guidance && { timestep_cond: guidance }),
    };
    return result(await run(unet, feeds, unet.outputNames[0]!));
  }

  async function decode(latents: Numbers) {
    const values = latents.values.map((value) => value / info.scaling);
    return result(await run(decoder, { latent_sample: { ...latents, values } }, decoder.outputNames[0]!));
  }

  /** The mean of what an image may be in latents: the middle, without chance. */
  async function encode(image: Numbers) {
    if (!maker) throw new Error("there is no encoder of images");
    const { values, dims } = await run(maker, { sample: image }, maker.outputNames[0]!);
    const [batch, , height, width] = dims as [number, number, number, number];
    const mean = values.slice(0, batch * channels * height * width).map((value) => value * info.scaling);
    return result({ values: mean, dims: [batch, channels, height, width] } satisfies Numbers);
  }

  return { info, jobs: { text, denoise, decode, encode } };
}

function result(output: unknown) {
  return { output };
}

const rows = (ids: number[][]): Numbers => ({
  values: Float32Array.from(ids.flat()),
  dims: [ids.length, ids[0]!.length],
});

async function run(session: InferenceSession, feeds: Record<string, Numbers>, output: string): Promise<Numbers> {
  const found = (await runAll(session, feeds))[output];
  if (!found) throw new UnusableModel(`has no output ${output} where it is looked for`);
  return numbersOf(found);
}

/** Numbers become what the graph declares: whole numbers, floats, or floats of half precision. */
async function runAll(session: InferenceSession, feeds: Record<string, Numbers>) {
  const tensors: Record<string, Tensor> = {};
  for (const { name, type } of metadataOf(session)) {
    const given = feeds[name];
    if (!given)
      throw new UnusableModel(`wants an input '${name.slice(0, 40)}' that a pipeline of its kind does not have`);
    tensors[name] = tensorOf(type, given);
  }
  return (await session.run(tensors)) as Record<string, Tensor>;
}

interface Metadata {
  name: string;
  type: string;
  shape: (number | string)[];
}

function metadataOf(session: InferenceSession): Metadata[] {
  return session.inputMetadata as unknown as Metadata[];
}

function tensorOf(type: string, { values, dims }: Numbers): Tensor {
  switch (type) {
    case "int64":
      return new Tensor(
        "int64",
        BigInt64Array.from(values, (value) => BigInt(Math.round(value))),
        dims,
      );
    case "int32":
      return new Tensor("int32", Int32Array.from(values), dims);
    case "float16":
      return halfTensor(values, dims);
    default:
      return new Tensor("float32", values, dims);
  }
}

function numbersOf({ type, data, dims }: Tensor): Numbers {
  if (type !== "float16") return { values: data as Float32Array, dims: [...dims] };
  const raw = data as unknown as Uint16Array;
  const halves = new Float16Array(raw.buffer, raw.byteOffset, raw.length);
  return { values: Float32Array.from(halves), dims: [...dims] };
}

/** Exporters declare it as a number by itself or as a list of one. */
function timestepDims(unet: InferenceSession): number[] {
  return metadataOf(unet).find(({ name }) => name === "timestep")?.shape.length === 0 ? [] : [1];
}

function widthOf(session: InferenceSession, name: string): number | null {
  const width = metadataOf(session)
    .find((each) => each.name === name)
    ?.shape.at(-1);
  return typeof width === "number" ? width : null;
}

/** The last layer but one: what models with two encoders were trained on. */
function beforeLast(session: InferenceSession, outputs: Record<string, Tensor>): Numbers {
  const layers = session.outputNames.filter((name) => name.startsWith("hidden_states."));
  const name = layers.sort((one, other) => Number(one.slice(14)) - Number(other.slice(14))).at(-2);
  if (name === undefined) throw new UnusableModel("has text encoders that do not show their layers");
  return numbersOf(outputs[name]!);
}

/** Joined along the last dimension. */
function beside(one: Numbers, other: Numbers): Numbers {
  const [left, right] = [one.dims.at(-1)!, other.dims.at(-1)!];
  const rows = one.values.length / left;
  const values = new Float32Array(rows * (left + right));
  for (let row = 0; row < rows; row++) {
    values.set(one.values.subarray(row * left, (row + 1) * left), row * (left + right));
    values.set(other.values.subarray(row * right, (row + 1) * right), row * (left + right) + left);
  }
  return { values, dims: [...one.dims.slice(0, -1), left + right] };
}
