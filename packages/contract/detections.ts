// POST /v1/images/detections: what is in an image, and where. The endpoint is ours, in the manner of the API's other image
// endpoints; docs/openapi/oxbow.yaml describes it.

import Type, { type Static } from "typebox";
import { ApiError } from "./errors.ts";
import { createParser } from "./validate.ts";

export const DetectionRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  /** An https:// address, a data: URL, or bare base64. */
  image: Type.String({ minLength: 1 }),
  /** The least score of what is answered. */
  threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** The best so many are answered. */
  max_detections: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  /** Only objects of these classes, by name. */
  classes: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 1000 })),
  user: Type.Optional(Type.String()),
});
export type DetectionRequest = Static<typeof DetectionRequest>;

/** @throws ApiError naming the first bad field */
export const parseDetectionRequest: (body: Record<string, unknown>) => DetectionRequest =
  createParser(DetectionRequest);

/** What the originals of the YOLO family start from: `conf` and `max_det` of ultralytics, read 2026-11-21. */
export const THRESHOLD_DEFAULT = 0.25;
export const DETECTIONS_DEFAULT = 300;

/** In pixels from the upper left corner of the image as it is meant to be seen. */
export interface DetectionBox {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Detection {
  object: "detection";
  label: string;
  /** 0 to 1. */
  score: number;
  box: DetectionBox;
}

export interface DetectionAnswer {
  id: string;
  object: "image.detections";
  created: number;
  model: string;
  /** Pixels, after the turn that a camera has noted. */
  image: { width: number; height: number };
  /** The best first. */
  data: Detection[];
  usage: { images: number; pixels: number };
}

/**
 * Places of the wanted classes in `known`, or null for all.
 * @throws ApiError `invalid_value` for a name that the model does not know
 */
export function classesWanted({ classes }: DetectionRequest, known: readonly string[]): number[] | null {
  if (!classes) return null;
  return classes.map((name, index) => {
    const at = known.indexOf(name);
    if (at >= 0) return at;
    const param = `classes[${index}]`;
    const list = known.map((each) => `'${each}'`).join(", ");
    const text = `Invalid value: '${name.slice(0, 64)}'. The model knows: ${list}.`;
    throw new ApiError("invalid_value", text, { param });
  });
}

/** Inside of the image, and as exact as it means something: a hundredth of a pixel, a ten-thousandth of a score. */
export function detectionOf(
  label: string,
  score: number,
  [left, top, right, bottom]: readonly [number, number, number, number],
): Detection {
  const round = (value: number, parts: number) => Math.round(value * parts) / parts;
  const box = {
    x: round(left, 100),
    y: round(top, 100),
    width: round(right - left, 100),
    height: round(bottom - top, 100),
  };
  return { object: "detection", label, score: round(score, 10_000), box };
}
