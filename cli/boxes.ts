// Draws what was found into the image: a frame of its own colour for each label, and the label with its score.

import { extname } from "node:path";
import type { Detection, DetectionAnswer } from "@oxbow/contract";
import { CommandError, EXIT } from "./exit.ts";

const FORMATS = { ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp" } as const;

/** @throws CommandError for a name that says no format */
export function formatOf(file: string): "png" | "jpeg" | "webp" {
  const format = FORMATS[extname(file).toLowerCase() as keyof typeof FORMATS];
  if (format) return format;
  throw new CommandError(`${file}: the name must end with one of ${Object.keys(FORMATS).join(", ")}.`, EXIT.usage);
}

/** @throws CommandError when the image cannot be read, or the file not be written */
export async function writeBoxes(bytes: Uint8Array, { image, data }: DetectionAnswer, file: string): Promise<void> {
  const { default: sharp } = await import("sharp");
  try {
    // The image is turned first, because boxes are where they are seen.
    const upright = await sharp(bytes).autoOrient().toBuffer();
    const drawing = Buffer.from(drawingOf(image, data));
    await sharp(upright)
      .composite([{ input: drawing, left: 0, top: 0 }])
      .toFormat(formatOf(file))
      .toFile(file);
  } catch (cause) {
    throw new CommandError(`${file} could not be written: ${(cause as Error).message.split("\n")[0]}`);
  }
}

/** SVG, as large as the image. The best is drawn last, over the others. */
function drawingOf({ width, height }: DetectionAnswer["image"], data: readonly Detection[]): string {
  const line = Math.max(2, Math.round(Math.max(width, height) / 300));
  const text = Math.max(11, 5 * line);
  const frames = data.toReversed().map(({ label, score, box }) => {
    const colour = colourOf(label);
    const words = escaped(`${label} ${score.toFixed(2)}`);
    const top = Math.max(0, box.y - text - line);
    const across = Math.round(words.length * text * 0.6);
    return [
      `<rect x="${box.x}" y="${box.y}" width="${box.width}" height="${box.height}" fill="none" stroke="${colour}" stroke-width="${line}"/>`,
      `<rect x="${box.x}" y="${top}" width="${across}" height="${text + line}" fill="${colour}"/>`,
      `<text x="${box.x + line}" y="${top + text - 1}" font-family="sans-serif" font-size="${text}" fill="#fff">${words}</text>`,
    ].join("");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${frames.join("")}</svg>`;
}

/** The same label always has the same colour, dark enough for white letters. */
function colourOf(label: string): string {
  return `hsl(${Number(Bun.hash.crc32(label) % 360)},85%,38%)`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
