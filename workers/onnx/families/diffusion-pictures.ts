// Images between the model's numbers and the formats of files. They come from the gateway, which has looked at them.

import { ApiError, type ImageOutput } from "@oxbow/contract";
import sharp, { type Sharp } from "sharp";
import type { Numbers } from "./diffusion-jobs.ts";

sharp.cache(false);
sharp.concurrency(1);

/** Reds, greens and blues from −1 to 1, one plane after the other, to bytes, pixel by pixel. */
export function pixelsOf({ values, dims }: Numbers): { pixels: Uint8Array; width: number; height: number } {
  const [, , height, width] = dims as [number, number, number, number];
  const size = width * height;
  const pixels = new Uint8Array(3 * size);
  for (let plane = 0; plane < 3; plane++) {
    for (let at = 0; at < size; at++) {
      const value = Math.min(1, Math.max(0, values[plane * size + at]! / 2 + 0.5));
      pixels[3 * at + plane] = Math.round(value * 255);
    }
  }
  return { pixels, width, height };
}

/** @returns base64 @param quality of the encoder, 1 to 100; not for PNG */
export async function write(
  pixels: Uint8Array,
  width: number,
  height: number,
  format: ImageOutput,
  quality: number,
): Promise<string> {
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  const written =
    format === "png" ? image.png() : format === "jpeg" ? image.jpeg({ quality }) : image.webp({ quality });
  return (await written.toBuffer()).toString("base64");
}

export interface Start {
  /** As the model sees it: 1, 3, height, width, from −1 to 1. */
  image: Numbers;
  /** The same in bytes. */
  pixels: Uint8Array;
}

/** An image to start from, cut and scaled to the size that was asked for. */
export async function readImage(bytes: Uint8Array, width: number, height: number): Promise<Start> {
  const { data } = await decoded(bytes, "image", (image) =>
    image.flatten({ background: "#fff" }).resize({ width, height, fit: "cover" }).removeAlpha(),
  );
  const size = width * height;
  const values = new Float32Array(3 * size);
  for (let at = 0; at < size; at++) {
    for (let plane = 0; plane < 3; plane++) values[plane * size + at] = data[3 * at + plane]! / 127.5 - 1;
  }
  return { image: { values, dims: [1, 3, height, width] }, pixels: data };
}

/**
 * Where an image is to be painted anew: 1 where the mask is transparent, 0 elsewhere, for each pixel.
 * @throws ApiError for a mask without transparency, which would change nothing
 */
export async function readMask(bytes: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const { data } = await decoded(bytes, "mask", (image) =>
    image.ensureAlpha().resize({ width, height, fit: "cover", kernel: "nearest" }).extractChannel("alpha"),
  );
  const mask = Uint8Array.from(data, (alpha) => (alpha < 128 ? 1 : 0));
  if (mask.includes(1)) return mask;
  const text = "The mask has no transparent pixel: what is transparent in it is what will be painted anew.";
  throw new ApiError("invalid_combination", text, { param: "mask" });
}

async function decoded(bytes: Uint8Array, field: string, change: (image: Sharp) => Sharp) {
  try {
    const image = change(sharp(bytes, { failOn: "error" }).toColourspace("srgb"));
    return await image.raw().toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw new ApiError("image_parse_error", "The image could not be decoded.", { param: field, cause });
  }
}

/** The mask at the size of latents: a latent pixel is painted anew when any of its pixels is. */
export function shrinkMask(mask: Uint8Array, width: number, height: number, factor: number): Uint8Array {
  const [columns, rows] = [width / factor, height / factor];
  const small = new Uint8Array(columns * rows);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x]) small[Math.floor(y / factor) * columns + Math.floor(x / factor)] = 1;
    }
  }
  return small;
}

/** Puts back what was not to be changed, exactly as it was. */
export function putBack(pixels: Uint8Array, before: Uint8Array, mask: Uint8Array): void {
  for (const [at, painted] of mask.entries()) {
    if (!painted) pixels.set(before.subarray(3 * at, 3 * at + 3), 3 * at);
  }
}
