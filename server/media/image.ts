// Makes images from strangers safe: looked at by their first bytes, bounded, and written anew by a process of its own. One
// that kills its decoder is tried once more, alone, because it may have died of its neighbour; then it is to blame.

import {
  ApiError,
  IMAGE_FIELD,
  type ImageFact,
  type ImageJob,
  type ImageOutput,
  type ImageRefusal,
} from "@oxbow/contract";
import type { MediaProcess } from "./process.ts";
import { sniff } from "./sniff.ts";
import { createTurns } from "./turns.ts";

export interface ImageOptions {
  /** Width times height of what comes in. */
  pixelsMax: number;
  /** Bytes of what comes in. */
  bytesMax: number;
  /** The longer side of what comes out; larger images are made smaller in proportion. */
  sideMax?: number;
  /** By default jpeg stays jpeg, and everything else becomes png, which loses nothing. */
  to?: ImageOutput;
  /** 1 to 100, for jpeg and webp. */
  quality?: number;
  /** Whose it is: owners take turns. Absent: an engine's, which is ours. */
  owner?: string | undefined;
  signal?: AbortSignal;
}

export interface SafeImage extends ImageFact {
  bytes: Uint8Array;
  format: ImageOutput;
}

export type ImageMaker = (bytes: Uint8Array, options: ImageOptions) => Promise<SafeImage>;

/** At the same time: each holds up to its pixels in memory. */
const JOBS_MAX = 3;
/** One is left for others. */
const OWN_JOBS_MAX = 2;
/** Longer than the process gives a decoder. */
const JOB_MS_MAX = 30_000;

/**
 * The returned function makes one image anew.
 * @throws ApiError `empty_image_file`, `invalid_image_format`, `image_file_too_large`, `image_too_large`,
 *   `image_parse_error`; `queue_full`; the signal's reason
 */
export function createImageMaker(process: MediaProcess): ImageMaker {
  const turns = createTurns({ places: JOBS_MAX, ownPlaces: OWN_JOBS_MAX });

  async function run(
    bytes: Uint8Array,
    job: ImageJob,
    owner: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers = { [IMAGE_FIELD]: JSON.stringify(job) };
    const release = await turns.take(owner ?? null, 1, signal);
    try {
      return await post(bytes, headers, signal);
    } catch (error) {
      if (signal.aborted) throw error;
    } finally {
      release();
    }
    const releaseAll = await turns.take(null, JOBS_MAX, signal);
    try {
      return await post(bytes, headers, signal);
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw new ApiError("image_parse_error", "The image could not be decoded.", { cause });
    } finally {
      releaseAll();
    }
  }

  function post(bytes: Uint8Array, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    // A decoder that hangs ends with its process.
    const timer = setTimeout(process.kill, JOB_MS_MAX);
    return process.post("/image", bytes, headers, signal).finally(() => clearTimeout(timer));
  }

  return async (bytes, { bytesMax, owner, signal = new AbortController().signal, ...asked }) => {
    if (bytes.length === 0) throw new ApiError("empty_image_file", "The image is empty.");
    if (bytes.length > bytesMax)
      throw new ApiError("image_file_too_large", `The image is larger than ${bytesMax} bytes.`);
    const format = sniff(bytes);
    if (format === null) throw new ApiError("invalid_image_format", `The image is none. ${READ}`);
    const to = asked.to ?? (format === "jpeg" ? "jpeg" : "png");
    const answer = await run(bytes, { ...asked, format, to }, owner, signal);
    if (answer.status === 422) {
      const { row, message } = (await answer.json()) as ImageRefusal;
      throw new ApiError(row, message);
    }
    if (answer.status !== 200) throw new Error(`the media process answered with status ${answer.status}`);
    const fact = JSON.parse(answer.headers.get(IMAGE_FIELD)!) as ImageFact;
    return { ...fact, bytes: await answer.bytes(), format: to };
  };
}

const READ = "Images may be JPEG, PNG, WebP, GIF (its first frame) or BMP.";
