// What callers send or point at besides text, made safe: URLs fetched from outside only, images decoded in a process of
// their own and written anew. Knows nothing of models or plans.

import { type AudioMeter, createAudioMeter } from "./audio.ts";
import { type Blobs, type BlobsOptions, createBlobs } from "./blobs.ts";
import { createFetcher, type Fetcher, type FetcherOptions } from "./fetch.ts";
import { createImageMaker, type ImageMaker } from "./image.ts";
import { createMediaProcess, type Environment } from "./process.ts";
import { sniff } from "./sniff.ts";

export type { Fetched, FetchOptions } from "./fetch.ts";
export type { ImageOptions, SafeImage } from "./image.ts";

export interface Media {
  fetch: Fetcher;
  image: ImageMaker;
  audio: AudioMeter;
  /** The image format that bytes begin like. */
  sniff: typeof sniff;
  blobs: Pick<Blobs, "put" | "open">;
  /** Ends the process, if it runs. */
  stop(): void;
  /** Of the process that decodes images; null while there is none. */
  pid(): number | null;
}

export interface MediaOptions {
  fetch: FetcherOptions;
  blobs: BlobsOptions;
  /** Path of workers/media/main.ts. */
  program: string;
  env: Environment;
}

/** One that hangs leaves another. They are started when they are needed. */
const METERS = 2;

export function createMedia(options: MediaOptions): Media {
  const process = createMediaProcess(options.program, options.env);
  const meters = Array.from({ length: METERS }, () => createMediaProcess(options.program, options.env));
  const blobs = createBlobs(options.blobs);
  return {
    fetch: createFetcher(options.fetch),
    image: createImageMaker(process),
    audio: createAudioMeter(meters),
    sniff,
    blobs,
    stop: () => {
      process.kill();
      for (const meter of meters) meter.kill();
      blobs.stop();
    },
    pid: process.pid,
  };
}
