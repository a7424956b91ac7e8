import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError } from "@oxbow/contract";
import sharp from "sharp";
import { pngHead, pngOfZeros } from "../../test/images.ts";
import { createMedia } from "./media.ts";
import { sniff } from "./sniff.ts";

const folder = mkdtempSync(join(tmpdir(), "oxbow-media-test-"));
const media = createMedia({
  fetch: { enabled: false, allowed: [], msMax: 1_000 },
  blobs: { folder, bytesMax: 1_000_000, ageMsMax: 60_000, now: Date.now },
  program: join(import.meta.dir, "../../workers/media/main.ts"),
  env: process.env,
});
afterAll(() => {
  media.stop();
  rmSync(folder, { recursive: true });
});

const BOUNDS = { pixelsMax: 1_000_000, bytesMax: 1_000_000 };
const red = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: "#f00" } });
const codeOf = async (pending: Promise<unknown>) =>
  pending.then(
    () => "made",
    (error) => (error instanceof ApiError ? error.row : String(error)),
  );

/** A BMP of 24 bits, grey. */
function bmp(width: number, height: number): Buffer {
  const row = Math.ceil((width * 3) / 4) * 4;
  const bytes = Buffer.alloc(54 + row * height, 0x80);
  bytes.fill(0, 0, 54).write("BM");
  bytes.writeUInt32LE(bytes.length, 2);
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(height, 22);
  bytes.writeUInt16LE(1, 26);
  bytes.writeUInt16LE(24, 28);
  return bytes;
}

const frames = Buffer.concat([Buffer.alloc(40 * 30 * 3, 10), Buffer.alloc(40 * 30 * 3, 250)]);
const SAMPLES: Record<string, () => Promise<Buffer>> = {
  jpeg: () => red(40, 30).jpeg().toBuffer(),
  png: () => red(40, 30).png().toBuffer(),
  webp: () => red(40, 30).webp().toBuffer(),
  gif: () =>
    sharp(frames, { raw: { width: 40, height: 60, channels: 3, pageHeight: 30 } })
      .gif({ delay: [100, 100] })
      .toBuffer(),
  bmp: async () => bmp(40, 30),
};

test.each(Object.keys(SAMPLES))(
  "%s is known by its bytes, and comes out as a picture of the same size",
  async (format) => {
    const bytes = await SAMPLES[format]!();
    expect(sniff(bytes)).toBe(format as never);
    const made = await media.image(bytes, BOUNDS);
    const opened = await sharp(made.bytes).metadata();
    expect([made.format, opened.format]).toEqual(format === "jpeg" ? ["jpeg", "jpeg"] : ["png", "png"]);
    expect([made.width, made.height, opened.width, opened.height]).toEqual([40, 30, 40, 30]);
  },
);

test("of an animation the first frame is taken", async () => {
  const made = await media.image(await SAMPLES.gif!(), BOUNDS);
  const { data } = await sharp(made.bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  expect(Math.abs(data[0]! - 10)).toBeLessThan(8);
});

test("it is turned as it was meant to be seen, and says nothing of where it was taken", async () => {
  const exif = { IFD0: { Orientation: "6", Artist: "somebody" }, IFD3: { GPSLatitude: "48/1 51/1 0/1" } };
  const bytes = await red(60, 20).jpeg().withExif(exif).withMetadata({ orientation: 6 }).toBuffer();
  expect((await sharp(bytes).metadata()).exif).toBeDefined();
  const made = await media.image(bytes, BOUNDS);
  const opened = await sharp(made.bytes).metadata();
  expect([opened.width, opened.height, opened.orientation, opened.exif]).toEqual([20, 60, undefined, undefined]);
  expect(Buffer.from(made.bytes).includes("somebody")).toBe(false);
});

test("what stands behind an image is gone", async () => {
  const bytes = Buffer.concat([await SAMPLES.png!(), Buffer.from("<script>alert(1)</script>PK\x03\x04")]);
  const made = await media.image(bytes, BOUNDS);
  expect(Buffer.from(made.bytes).includes("script")).toBe(false);
});

test("a side that is too long is made shorter in proportion, and a short one is left alone", async () => {
  const bytes = await red(800, 200).png().toBuffer();
  const small = await media.image(bytes, { ...BOUNDS, sideMax: 400 });
  expect([small.width, small.height]).toEqual([400, 100]);
  const same = await media.image(bytes, { ...BOUNDS, sideMax: 4_000 });
  expect([same.width, same.height]).toEqual([800, 200]);
});

test("it comes out as what is asked for", async () => {
  for (const to of ["png", "jpeg", "webp"] as const) {
    const made = await media.image(await SAMPLES.png!(), { ...BOUNDS, to, quality: 50 });
    expect((await sharp(made.bytes).metadata()).format).toBe(to);
  }
});

const REFUSED: [what: string, bytes: () => Uint8Array | Promise<Uint8Array>, row: string][] = [
  ["no byte", () => new Uint8Array(), "empty_image_file"],
  ["SVG", () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), "invalid_image_format"],
  ["PDF", () => Buffer.from("%PDF-1.7"), "invalid_image_format"],
  ["TIFF", () => red(9, 9).tiff().toBuffer(), "invalid_image_format"],
  ["AVIF", () => red(9, 9).avif().toBuffer(), "invalid_image_format"],
  ["HTML", () => Buffer.from("<!doctype html>"), "invalid_image_format"],
  ["half a PNG", async () => halfOf(await sharp(noise(), NOISE).png().toBuffer()), "image_parse_error"],
  ["half a JPEG", async () => halfOf(await sharp(noise(), NOISE).jpeg().toBuffer()), "image_parse_error"],
  ["half a WebP", async () => halfOf(await sharp(noise(), NOISE).webp().toBuffer()), "image_parse_error"],
  ["half a BMP", () => bmp(40, 30).subarray(0, 500), "image_parse_error"],
  [
    "a PNG's mark before an SVG",
    () => Buffer.concat([pngHead(1, 1).slice(0, 8), Buffer.from("<svg/>")]),
    "image_parse_error",
  ],
  ["a head of 50,000 by 50,000", () => pngHead(50_000, 50_000), "image_too_large"],
  ["a BMP's head of 50,000 by 50,000", () => bmpHead(50_000), "image_too_large"],
  ["a PNG of one by a million", () => pngHead(1, 1_000_000), "image_too_large"],
  ["more bytes than allowed", () => new Uint8Array(1_000_001), "image_file_too_large"],
];
const NOISE = { raw: { width: 64, height: 64, channels: 3 } } as const;
const noise = () => Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * 7919 + (at >> 3) * 104729) & 255));
const halfOf = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2);
function bmpHead(side: number): Buffer {
  const bytes = bmp(4, 4);
  bytes.writeInt32LE(side, 18);
  bytes.writeInt32LE(side, 22);
  return bytes;
}

test.each(REFUSED)("%s is refused", async (_, bytes, row) => {
  expect(await codeOf(media.image(await bytes(), BOUNDS))).toBe(row);
});

test("a bomb of 50,000 by 50,000 zeros costs no memory, here or there", async () => {
  const bomb = pngOfZeros(50_000);
  expect(bomb.length).toBeLessThan(5_000_000);
  await media.image(await SAMPLES.png!(), BOUNDS);
  const before = rssOf(media.pid()!);
  expect(await codeOf(media.image(bomb, { ...BOUNDS, bytesMax: 10_000_000, pixelsMax: 40_000_000 }))).toBe(
    "image_too_large",
  );
  expect(rssOf(media.pid()!) - before).toBeLessThan(60_000_000);
});

/** Bytes. */
function rssOf(pid: number): number {
  const { stdout } = Bun.spawnSync(["ps", "-o", "rss=", "-p", String(pid)]);
  return Number(stdout.toString()) * 1024;
}

test("when the process dies, the image is tried again in the next one", async () => {
  const bytes = await sharp(noise(), NOISE).png().toBuffer();
  await media.image(bytes, BOUNDS);
  const first = media.pid()!;
  const pending = Promise.all(Array.from({ length: 8 }, () => media.image(bytes, BOUNDS)));
  process.kill(first, "SIGKILL");
  expect((await pending).map(({ width }) => width)).toEqual(Array(8).fill(64));
  expect(media.pid()).not.toBe(first);
});

test("who hangs up while it waits is out of the line", async () => {
  const hangUp = new AbortController();
  const bytes = await red(900, 900).png().toBuffer();
  const pending = Array.from({ length: 6 }, () => codeOf(media.image(bytes, { ...BOUNDS, signal: hangUp.signal })));
  hangUp.abort(new Error("gone"));
  expect(new Set(await Promise.all(pending))).toEqual(new Set(["Error: gone"]));
  expect(await codeOf(media.image(bytes, BOUNDS))).toBe("made");
});
