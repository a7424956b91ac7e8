// One image made new: decoded within bounds, turned the way it was meant to be seen, and written again with nothing but its
// pixels. What hid behind them (EXIF, a second file, a script) is gone.

import type { ImageFact, ImageJob, ImageRefusal } from "@oxbow/contract";
import sharp, { type Sharp } from "sharp";

// Of libvips' many decoders those four: each other one is a way in for bytes that only pretend.
sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: [
    "VipsForeignLoadJpegBuffer",
    "VipsForeignLoadPngBuffer",
    "VipsForeignLoadWebpBuffer",
    "VipsForeignLoadNsgifBuffer",
  ],
});
// Nothing is asked for twice, and several images are worked on at the same time already.
sharp.cache(false);
sharp.concurrency(1);

/** An image that makes its decoder work for longer was made to. */
const SECONDS_MAX = 20;
/** More than JPEG has. A PNG of one pixel by forty million is 80 kB, and cost its decoder 20 s: every line has its price. */
const SIDE_MAX = 65_535;
/** Of jpeg and webp: what a second encoding loses is less than a model can see. */
const QUALITY = 92;

export class BadImage extends Error {
  readonly refusal: ImageRefusal;

  constructor(row: ImageRefusal["row"], message: string) {
    super(message);
    this.refusal = { row, message };
  }
}

/** @throws BadImage */
export async function remake(bytes: Uint8Array, job: ImageJob): Promise<ImageFact & { bytes: Uint8Array }> {
  const source = job.format === "bmp" ? await fromBmp(bytes, job.pixelsMax) : bytes;
  const image = sharp(source, { limitInputPixels: job.pixelsMax, failOn: "error", sequentialRead: true, pages: 1 });
  await check(image, job);
  const { sideMax, to } = job;
  const turned = image.autoOrient();
  const fitting = sideMax
    ? turned.resize({ width: sideMax, height: sideMax, fit: "inside", withoutEnlargement: true })
    : turned;
  const written = write(fitting.toColourspace("srgb"), to, job.quality ?? QUALITY).timeout({ seconds: SECONDS_MAX });
  try {
    const { data, info } = await written.toBuffer({ resolveWithObject: true });
    return { bytes: data, width: info.width, height: info.height };
  } catch {
    throw new BadImage("image_parse_error", "The image is damaged, or cut short.");
  }
}

/** Looks at the head of the file alone. */
async function check(image: Sharp, { format, pixelsMax }: ImageJob): Promise<void> {
  let head: Awaited<ReturnType<Sharp["metadata"]>>;
  try {
    head = await image.metadata();
  } catch (error) {
    // The bound is checked while the head is read too.
    if (/pixel limit/.test(String(error))) throw tooLarge(pixelsMax);
    throw new BadImage("image_parse_error", "The image is damaged, or cut short.");
  }
  const wanted = format === "bmp" ? "png" : format;
  if (head.format !== wanted) throw new BadImage("image_parse_error", `The image is not the ${format} it begins like.`);
  const height = head.pageHeight ?? head.height;
  if (head.width * height > pixelsMax) throw tooLarge(pixelsMax);
  if (Math.max(head.width, height) > SIDE_MAX) {
    throw new BadImage("image_too_large", `The image has a side of more than ${SIDE_MAX} pixels.`);
  }
}

/** libvips reads no BMP; Bun does. */
async function fromBmp(bytes: Uint8Array, pixelsMax: number): Promise<Uint8Array> {
  try {
    return await new Bun.Image(bytes, { maxPixels: pixelsMax }).png().bytes();
  } catch (error) {
    if (/maxPixels/.test(String(error))) throw tooLarge(pixelsMax);
    throw new BadImage("image_parse_error", "The image is damaged, or cut short.");
  }
}

function write(image: Sharp, to: ImageJob["to"], quality: number): Sharp {
  // A picture without transparency for those that know none: on white, as a page would show it.
  if (to === "jpeg") return image.flatten({ background: "#fff" }).jpeg({ quality, chromaSubsampling: "4:4:4" });
  return to === "webp" ? image.webp({ quality }) : image.png({ compressionLevel: 6 });
}

function tooLarge(pixelsMax: number): BadImage {
  return new BadImage("image_too_large", `The image has more than ${pixelsMax} pixels.`);
}
