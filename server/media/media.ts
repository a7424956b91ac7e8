// What callers send or point at besides text, made safe: URLs fetched from outside only, images decoded in a process of
// their own and written anew. Knows nothing of models or plans.

import { createFetcher, type Fetcher, type FetcherOptions } from "./fetch.ts";
import { createImageMaker, type ImageMaker } from "./image.ts";
import { createMediaProcess } from "./process.ts";

export type { Fetched, FetchOptions } from "./fetch.ts";
export type { ImageOptions, SafeImage } from "./image.ts";

export interface Media {
  fetch: Fetcher;
  image: ImageMaker;
  /** Ends the process, if it runs. */
  stop(): void;
  /** Of the process that decodes; null while there is none. */
  pid(): number | null;
}

export interface MediaOptions {
  fetch: FetcherOptions;
  /** Path of workers/media/main.ts. */
  program: string;
}

export function createMedia(options: MediaOptions): Media {
  const process = createMediaProcess(options.program);
  return {
    fetch: createFetcher(options.fetch),
    image: createImageMaker(process),
    stop: process.kill,
    pid: process.pid,
  };
}
