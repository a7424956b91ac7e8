// A whole answer with images, from the engine's form to the one that was asked for: as many images as asked, in the right
// format, as base64 or as links, with all keys; or as events for a caller who wanted a stream from an engine that has none.

import {
  ApiError,
  type Canvas,
  completedImageEvent,
  encoderQualityOf,
  formatOf,
  type ImageRequest,
  type ImagesAnswer,
  type ImageTask,
  type ImageTraits,
  type ImageUsage,
  imageTokensOf,
  imageUsageOf,
  qualityOf,
  SSE_HEADERS,
  unixSeconds,
} from "@oxbow/contract";
import type { Finished } from "./call.ts";
import type { Exchange } from "./exchange.ts";
import { decodeBase64 } from "./images.ts";

/** Of one image as an engine sends it. */
const BYTES_MAX = 256 * 1024 * 1024;

/** @throws ApiError `engine_failed` for an answer without the images */
export async function finishImages(
  exchange: Exchange,
  task: ImageTask,
  call: ImageRequest,
  canvas: Canvas,
  answer: Uint8Array,
  signal: AbortSignal,
): Promise<Finished> {
  const said = JSON.parse(Buffer.from(answer).toString()) as Partial<ImagesAnswer>;
  const given = Array.isArray(said.data) ? said.data.slice(0, canvas.n) : [];
  if (given.length < canvas.n) throw noImages(`${given.length} of ${canvas.n} images came`);
  const images: { bytes: Uint8Array; revised: string | undefined }[] = [];
  for (const { b64_json, url, revised_prompt: revised } of given) {
    const bytes = await inFormat(exchange, call, await bytesOf(exchange, b64_json, url, signal), signal);
    images.push({ bytes, revised });
  }
  const traits = traitsOf(call, canvas, said);
  const usage = isUsage(said.usage) ? said.usage : usageOf(canvas);
  const created = unixSeconds();
  if (call.stream) {
    const share = usageOf({ ...canvas, n: 1 });
    const each = canvas.n === 1 ? usage : share;
    const events = images.map(({ bytes }) => completedImageEvent(task, traits, created, each, base64(bytes)));
    return { bytes: Buffer.from(events.join("")), contentType: SSE_HEADERS["content-type"], headers: SSE_HEADERS };
  }
  const data = [];
  for (const { bytes, revised } of images) {
    const image =
      call.response_format === "b64_json" ? { b64_json: base64(bytes) } : { url: await link(exchange, call, bytes) };
    data.push(revised === undefined ? image : { ...image, revised_prompt: revised });
  }
  const whole: ImagesAnswer = { created, data, ...traits, usage };
  return { bytes: Buffer.from(JSON.stringify(whole)), contentType: "application/json" };
}

async function bytesOf(
  { rooms: { media } }: Exchange,
  b64: unknown,
  url: unknown,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    if (typeof b64 === "string" && b64 !== "") return decodeBase64(b64.replace(/^data:[^,]*,/, ""));
    if (typeof url !== "string") throw new Error("an image is neither base64 nor a link");
    if (url.startsWith("data:")) return decodeBase64(url.slice(url.indexOf(",") + 1));
    // An engine that gives links all the same: looked at like anybody's.
    return (await media.fetch(url, { bytesMax: BYTES_MAX, signal })).bytes;
  } catch (error) {
    if (signal.aborted) throw error;
    throw noImages(error);
  }
}

/** Engines that only know one format are helped; bytes that are right are not touched. */
async function inFormat(
  { rooms: { media } }: Exchange,
  call: ImageRequest,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const to = formatOf(call);
  if (media.sniff(bytes) === to) return bytes;
  try {
    const bounds = { bytesMax: BYTES_MAX, pixelsMax: PIXELS_MAX, signal };
    return (await media.image(bytes, { ...bounds, to, quality: encoderQualityOf(call) })).bytes;
  } catch (error) {
    if (signal.aborted) throw error;
    throw noImages(error);
  }
}

/** Of one image as an engine sends it: more than any model paints. */
const PIXELS_MAX = 100_000_000;

function traitsOf(call: ImageRequest, { width, height }: Canvas, said: Partial<ImageTraits>): ImageTraits {
  const quality = said.quality;
  return {
    background: said.background === "transparent" ? "transparent" : "opaque",
    output_format: formatOf(call),
    quality: quality === "low" || quality === "medium" || quality === "high" ? quality : qualityOf(call),
    size: typeof said.size === "string" && said.size.includes("x") ? said.size : `${width}x${height}`,
  };
}

function isUsage(usage: unknown): usage is ImageUsage {
  const { input_tokens, output_tokens, total_tokens, input_tokens_details } = (usage ?? {}) as Partial<ImageUsage>;
  const counts = [input_tokens, output_tokens, total_tokens];
  return counts.every((count) => typeof count === "number") && typeof input_tokens_details === "object";
}

/** For engines that do not tell: the images by their size, and of the text nothing is known. */
function usageOf({ width, height, n }: Canvas): ImageUsage {
  return imageUsageOf({ text: 0, imagesIn: 0, imagesOut: n * imageTokensOf(width, height) });
}

async function link(exchange: Exchange, call: ImageRequest, bytes: Uint8Array): Promise<string> {
  const { media, publicUrl, ownUrl } = exchange.rooms;
  const path = await media.blobs.put(bytes, formatOf(call));
  // As the caller reached us, unless the operator knows better: behind a proxy we do not see its name or TLS. Who does not
  // say how, or says what is no host, gets the address that we know of ourselves.
  return (publicUrl ?? originOf(exchange.request) ?? ownUrl()) + path;
}

function originOf({ url, headers }: Request): string | null {
  const named = headers.get("host") ?? "";
  const found = URL.parse(url);
  // Exactly what was said: a host that the parser reads otherwise leads elsewhere.
  return found && found.host === named.toLowerCase().replace(/:80$/, "") ? found.origin : null;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function noImages(cause: unknown): ApiError {
  return new ApiError("engine_failed", "The engine did not answer with the images. Try again.", { cause });
}
