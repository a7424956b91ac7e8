// The images of a chat on their way to an engine: fetched or decoded, counted, bounded, and written anew, so that no engine
// ever fetches an address or reads bytes that a stranger chose. Engines get data: URLs.

import { ApiError, type ChatRequest } from "@oxbow/contract";
import type { Model } from "../config.ts";
import type { Media } from "../media/media.ts";
import type { Prepared } from "./call.ts";
import type { Exchange } from "./exchange.ts";

/** An image part of a message, and where it stands. */
interface Place {
  message: number;
  part: number;
  url: string;
  detail: string;
}

/** The longer side by `detail`, for models that say nothing else in data/models.yaml. "original" is as large as "high". */
const SIDES = { low: 512, high: 2_048 };

/**
 * What makes every image of `call` safe, in the sizes that `model` reads; undefined: it has none.
 *
 * @throws ApiError `too_many_images`; and what is returned, one that names the image's field: `invalid_base64_image`, and
 *   what fetching and decoding throw
 */
export function takeImages(
  exchange: Exchange,
  call: ChatRequest,
  model: Model,
): ((hangUp: AbortSignal) => Promise<Prepared>) | undefined {
  const places = placesOf(call);
  if (places.length === 0) return undefined;
  const { imagesMax } = exchange.rooms.limits;
  if (places.length > imagesMax) {
    const text = `A call may carry ${imagesMax} images, but this one carries ${places.length}.`;
    throw new ApiError("too_many_images", text, { param: "messages" });
  }
  return (hangUp) => makeAllSafe(exchange, call, places, model, hangUp);
}

async function makeAllSafe(
  exchange: Exchange,
  call: ChatRequest,
  places: Place[],
  model: Model,
  hangUp: AbortSignal,
): Promise<Prepared> {
  const budget = budgetOf(exchange);
  const failed = new AbortController();
  const signal = AbortSignal.any([hangUp, failed.signal]);
  let first: { at: number; error: unknown } | null = null;
  let imagePixels = 0;
  const messages: unknown[] = [...call.messages];
  const work = places.map(async (place, at) => {
    try {
      const image = await makeSafe(exchange, place, sideOf(model, place.detail), budget, signal);
      imagePixels += image.width * image.height;
      const url = `data:image/${image.format};base64,${Buffer.from(image.bytes).toString("base64")}`;
      budget.take(url.length);
      put(messages, place, url);
    } catch (error) {
      // The others stop; what they say then is about stopping.
      if (!signal.aborted || hangUp.aborted) first ??= { at, error };
      failed.abort();
    }
  });
  await Promise.all(work);
  const failure = first as { at: number; error: unknown } | null;
  if (failure) throw at(failure.error, paramOf(places[failure.at]!));
  return { instead: { messages }, measures: [{ limit: "imagePixelsMax", amount: imagePixels, field: "messages" }] };
}

function placesOf(call: ChatRequest): Place[] {
  const places: Place[] = [];
  for (const [message, { role, content }] of call.messages.entries()) {
    if (role !== "user" || typeof content === "string") continue;
    for (const [part, each] of content.entries()) {
      if (each.type !== "image_url") continue;
      const { url, detail } = each.image_url;
      places.push({ message, part, url, detail: detail ?? "auto" });
    }
  }
  return places;
}

function sideOf({ imageSides = SIDES }: Model, detail: string): number {
  return detail === "low" ? imageSides.low : imageSides.high;
}

async function makeSafe(
  { rooms: { media, limits } }: Exchange,
  { url }: Place,
  sideMax: number,
  budget: Budget,
  signal: AbortSignal,
) {
  const { imageBytesMax, imagePixelsMax } = limits;
  const bytes = await bytesOfUrl(media, url, imageBytesMax, budget, signal);
  const { owner } = budget;
  return media.image(bytes, { bytesMax: imageBytesMax, pixelsMax: imagePixelsMax, sideMax, owner, signal });
}

/** What the images of one call may take. */
export interface Budget {
  owner: string | undefined;
  /** Of what comes. What is fetched counts as if it had come in the body. */
  bytesLeft: number;
  /** For bytes that were not in the body. @throws what a hold throws */
  take(bytes: number): void;
}

export function budgetOf({ rooms, hold, caller }: Exchange): Budget {
  return {
    owner: caller?.accountId,
    bytesLeft: rooms.limits.bodyBytesMax,
    take: (bytes) => hold?.take(bytes),
  };
}

/** What a URL means: the bytes in a data: URL, or what an address gives. All of a call share one budget. */
export async function bytesOfUrl(
  media: Pick<Media, "fetch">,
  url: string,
  bytesMax: number,
  budget: Budget,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const fetched = { bytesMax: Math.min(bytesMax, budget.bytesLeft), take: budget.take, owner: budget.owner, signal };
  const bytes = /^data:/i.test(url) ? bytesOf(url) : (await media.fetch(url, fetched)).bytes;
  budget.bytesLeft -= bytes.length;
  if (budget.bytesLeft >= 0) return bytes;
  throw new ApiError("image_file_too_large", "The images of this call are too large together.");
}

/** The bytes of a data: URL. Its media type is not read: bytes say what they are. */
function bytesOf(url: string): Uint8Array {
  const comma = url.indexOf(",");
  if (comma < 0 || !/;base64$/i.test(url.slice(0, comma))) {
    throw new ApiError("invalid_base64_image", "An image in a data: URL must be written as 'data:image/png;base64,…'.");
  }
  return decodeBase64(url.slice(comma + 1));
}

/** @throws ApiError `invalid_base64_image`; decoders skip what is none, and would find another image than was sent */
export function decodeBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) {
    throw new ApiError("invalid_base64_image", "The image is not written in base64.");
  }
  return Buffer.from(text, "base64");
}

/** Puts `url` where the image was, in copies of what holds it: the caller's own message may be needed as it came. */
function put(messages: unknown[], { message, part }: Place, url: string): void {
  const from = messages[message] as { content: { image_url: object }[] };
  const content = [...from.content];
  content[part] = { ...content[part], image_url: { ...content[part]!.image_url, url } } as { image_url: object };
  messages[message] = { ...from, content };
}

function paramOf({ message, part }: Place): string {
  return `messages[${message}].content[${part}].image_url.url`;
}

/** The same error, about a field. */
export function at(error: unknown, param: string): unknown {
  if (!(error instanceof ApiError) || error.param !== null || error.kind.status >= 500) return error;
  const { row, message, retryAfterMs, headers, cause } = error;
  return new ApiError(row, message, { param, retryAfterMs, headers, cause });
}
