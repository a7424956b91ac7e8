// Objects in images, the half in the inference thread: YOLO models that answer with all their candidates (v8, v9, v11 and
// their like) or with boxes that they have sorted out by themselves.

import { UnusableModel } from "@oxbow/worker";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { halfTensor, openSession } from "../session.ts";
import { graphFile } from "../weights.ts";
import {
  boxesOfRaw,
  boxesOfRows,
  boxInImage,
  type Found,
  fillSquare,
  letterboxOf,
  type Wanted,
} from "./detection-boxes.ts";
import type { Loaded, Place } from "./family.ts";

export interface DetectInput extends Omit<Wanted, "overlapMax"> {
  /** Red, green and blue, a byte each, row by row. */
  pixels: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}

/** In pixels of the image, the best first. */
export type DetectOutput = Found[];

/** Of models whose entry says no other. Source: `iou` of ultralytics, read 2026-11-21. */
const OVERLAP_MAX = 0.7;
const INPUT_PIXELS = 640;

export async function loadJobs({ folder, model, options, threads, progress }: Place): Promise<Loaded> {
  const card = model.detection;
  if (!card) throw new UnusableModel("cannot be hosted: its entry in models.yaml has no detection.classes");
  const file = model.file.endsWith(".onnx") ? model.file : graphFile(folder, "model", options.dtype);
  progress(0.1);
  const session = await openSession(file, threads);
  const input = inputOf(session, card.inputPixels ?? INPUT_PIXELS);
  const overlapMax = card.overlapMax ?? OVERLAP_MAX;

  async function look(square: Float32Array): Promise<Tensor> {
    const dims = [1, 3, input.height, input.width];
    const tensor = input.half ? halfTensor(square, dims) : new Tensor("float32", square, dims);
    return outputOf(await session.run({ [input.name]: tensor }), session, card!.classes.length);
  }

  async function detect({ pixels, width, height, ...wanted }: DetectInput) {
    const place = letterboxOf(width, height, input.width, input.height);
    const { data, dims } = await look(fillSquare(pixels, width, height, input.width, input.height, place));
    const values = data as Float32Array;
    const all = { ...wanted, overlapMax };
    const found =
      dims[2] === 6 ? boxesOfRows(values, dims[1]!, all) : boxesOfRaw(values, card!.classes.length, dims[2]!, all);
    const output = found
      .filter(({ classId }) => classId < card!.classes.length)
      .map((each) => ({ ...each, box: boxInImage(each.box, place, width, height) }));
    return { output: output satisfies DetectOutput };
  }

  // One look at nothing: tells whether the graph runs, and answers in a form that is known.
  progress(0.9);
  await look(new Float32Array(3 * input.width * input.height)).catch((cause: Error) => {
    if (cause instanceof UnusableModel) throw cause;
    throw new UnusableModel(`cannot be run: ${cause.message.replace(/\s+/g, " ").slice(0, 300)}`);
  });
  return { info: null, jobs: { detect } };
}

interface Input {
  name: string;
  width: number;
  height: number;
  /** In half precision. */
  half: boolean;
}

/** @param side where the file leaves the size open */
function inputOf(session: InferenceSession, side: number): Input {
  const [meta, ...others] = session.inputMetadata;
  if (!meta?.isTensor || others.length > 0 || meta.shape.length !== 4)
    throw new UnusableModel("does not take one image, so it is none of the family");
  const [, , height, width] = meta.shape.map((size) => (typeof size === "number" && size > 0 ? size : side));
  return { name: meta.name, width: width!, height: height!, half: meta.type === "float16" };
}

/** @throws UnusableModel when no output is one of a YOLO with so many classes */
function outputOf(outputs: InferenceSession.OnnxValueMapType, session: InferenceSession, classes: number): Tensor {
  const tensors = session.outputNames.map((name) => outputs[name] as Tensor).filter(({ dims }) => dims.length === 3);
  const found =
    tensors.find(({ dims }) => dims[1] === 4 + classes && dims[2] !== 6) ?? tensors.find(({ dims }) => dims[2] === 6);
  if (found) return found;
  const shapes = tensors.map(({ dims }) => `[${dims.join(",")}]`).join(", ") || "nothing of three dimensions";
  throw new UnusableModel(`answers with ${shapes}; for ${classes} classes it must be [1,${4 + classes},N] or [1,N,6]`);
}
