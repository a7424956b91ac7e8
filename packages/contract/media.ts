// How the gateway's media room and the process that decodes images understand each other. Images come from strangers and
// their decoders are native code, so they run where a crash costs one image.
//
// The process is started as
//   bun workers/media/main.ts <MediaConfig as JSON>
// with a pipe as its standard input, whose end is its own. It listens on the unix socket and writes one line to standard
// output once it does. Then
//   POST /image    the bytes of one image, with an ImageJob as JSON in the header field x-oxbow-image
//   200            the bytes of the new image, with an ImageFact as JSON in the same field
//   422            ImageRefusal as JSON: what is wrong with the image
//   POST /audio    the bytes of one recording, with an AudioJob as JSON in the header field x-oxbow-audio
//   200            AudioFact as JSON
//   422            a sentence for the log: it is no recording

/** Formats that are read. */
const IMAGE_FORMATS = ["jpeg", "png", "webp", "gif", "bmp"] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** Formats that are written. */
export const IMAGE_OUTPUTS = ["png", "jpeg", "webp"] as const;
export type ImageOutput = (typeof IMAGE_OUTPUTS)[number];

export const IMAGE_FIELD = "x-oxbow-image";

export const AUDIO_FIELD = "x-oxbow-audio";

export interface MediaConfig {
  socket: string;
}

export interface ImageJob {
  /** What the bytes begin like: any other decoder is not even asked. */
  format: ImageFormat;
  /** Width times height, before anything is decoded. */
  pixelsMax: number;
  /** Larger images are made smaller, in proportion, until neither side is longer. */
  sideMax?: number;
  to: ImageOutput;
  /** 1 to 100, for jpeg and webp. */
  quality?: number;
}

export interface ImageFact {
  width: number;
  height: number;
}

export interface AudioJob {
  /** Where to stop counting. */
  secondsMax: number;
}

/** What the packets of a recording say. */
export interface AudioFact {
  /** More than the job's `secondsMax`: nobody knows how much more. */
  seconds: number;
  /** A second, of each channel. */
  sampleRate: number;
  channels: number;
  /** `WAVE`, `MP4` … */
  container: string;
  /** `opus`, `aac` …; null: unknown. */
  codec: string | null;
}

export interface ImageRefusal {
  row: "image_too_large" | "image_parse_error";
  message: string;
}
