// A picture out of a number: soft patches of colour, the same on every machine. It is written as a PNG by hand, because
// that is a few lines, and turned into other formats by the runtime.

import { crc32, deflateSync } from "node:zlib";
import type { ImageOutput } from "@oxbow/contract";
import { createRandom } from "./random.ts";

export interface Painting {
  /** What it is of. */
  subject: number;
  /** Pixels. */
  width: number;
  height: number;
  /** 0 to 1: how fine its patches are. */
  detail: number;
  format: ImageOutput;
  /** Of the encoder, 1 to 100; not for PNG. */
  quality: number;
}

/** Patches along the longer side of a picture in full detail. */
const PATCHES = 32;

/** @returns base64 */
export async function paint({ subject, width, height, detail, format, quality }: Painting): Promise<string> {
  const png = pngOf(width, height, rowsOf(subject, width, height, detail));
  if (format === "png") return png.toString("base64");
  const image = new Bun.Image(png);
  const bytes = await (format === "jpeg" ? image.jpeg({ quality }) : image.webp({ quality })).bytes();
  return Buffer.from(bytes).toString("base64");
}

/** Rows of RGB, each behind the byte that says how it is filtered: not at all. */
function rowsOf(subject: number, width: number, height: number, detail: number): Buffer {
  const random = createRandom(subject);
  const patches = Array.from({ length: PATCHES * PATCHES }, () => [
    random.below(256),
    random.below(256),
    random.below(256),
  ]);
  const step = Math.max(1, Math.round(1 / Math.max(detail, 1 / PATCHES)));
  const side = Math.max(width, height);
  const patchOf = (x: number, y: number) => {
    const column = Math.floor((x * PATCHES) / side);
    const row = Math.floor((y * PATCHES) / side);
    return patches[(row - (row % step)) * PATCHES + column - (column % step)]!;
  };
  const bytes = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0, at = 0; y < height; y++) {
    at++;
    for (let x = 0; x < width; x++) for (const value of patchOf(x, y)) bytes[at++] = value;
  }
  return bytes;
}

/** PNG specification (third edition), 5 and 11. */
function pngOf(width: number, height: number, rows: Buffer): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8); // 8 bits for each of red, green and blue
  const parts = [chunk("IHDR", head), chunk("IDAT", deflateSync(rows, { level: 1 })), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts]);
}

function chunk(type: string, content: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const around = Buffer.alloc(8);
  around.writeUInt32BE(content.length, 0);
  around.writeUInt32BE(crc32(typed), 4);
  return Buffer.concat([around.subarray(0, 4), typed, around.subarray(4)]);
}
