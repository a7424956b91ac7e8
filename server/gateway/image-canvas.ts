// How large the images of a call are, and how many: what was asked for, held against what the model can paint.

import { ApiError, dimensionsOf, type ImageRequest } from "@oxbow/contract";
import type { Model } from "../config.ts";

export interface Canvas {
  /** Of each image, in pixels. */
  width: number;
  height: number;
  n: number;
}

/** For models of which data/models.yaml says nothing. */
const IMAGES = { size: "1024x1024", sideMin: 256, sideMax: 2_048, sideStep: 8 };

/** @throws ApiError `invalid_value` that says which sizes the model has */
export function canvasOf(call: ImageRequest, { id, images = IMAGES }: Model): Canvas {
  const { size = "auto", n = 1 } = call;
  const { sideMin, sideMax, sideStep } = images;
  const found = dimensionsOf(size === "auto" ? images.size : size)!;
  const fits = (side: number) => side >= sideMin && side <= sideMax && side % sideStep === 0;
  if (fits(found.width) && fits(found.height)) return { ...found, n };
  const text = `Invalid value: '${size}'. The model \`${id}\` paints images with sides from ${sideMin} to ${sideMax} pixels that are multiples of ${sideStep}; '${images.size}' is what 'auto' means.`;
  throw new ApiError("invalid_value", text, { param: "size" });
}
