// Images for tests: shapes and gradients of their own for each seed, so that a model has something to look at.

import sharp, { type Sharp } from "sharp";
import { createRandom } from "../models/tiny/random.ts";

/** The same size and seed draw the same pixels. */
export function drawScene(width: number, height: number, seed: number): Sharp {
  const random = createRandom(seed + 1);
  const pixels = new Uint8Array(3 * width * height);
  const shapes = Array.from({ length: 12 }, () => ({
    x: random.uniform() * width,
    y: random.uniform() * height,
    radius: (0.05 + 0.25 * random.uniform()) * Math.min(width, height),
    colour: [random.u32() & 255, random.u32() & 255, random.u32() & 255],
    round: random.uniform() < 0.5,
  }));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const shape = shapes.find(({ x: cx, y: cy, radius, round }) => {
        const [dx, dy] = [Math.abs(x - cx), Math.abs(y - cy)];
        return round ? dx * dx + dy * dy < radius * radius : dx < radius && dy < radius / 2;
      });
      for (let colour = 0; colour < 3; colour++) {
        pixels[at + colour] = shape
          ? shape.colour[colour]!
          : (255 * (x * (colour + 1) + y * 2)) / (3 * width + 2 * height);
      }
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}
