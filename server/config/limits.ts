// Every bound of the server that an operator can move, with its unit in its name, its default and why it is that.

/** `[default, least, most]` of each limit. `OXBOW_` and the name in capitals sets it: `OXBOW_QUEUE_WAIT_MS_MAX=5000`. */
export const LIMITS = {
  /** A request body. The largest audio upload that OpenAI takes is 25 MiB; a long prompt with images stays below. */
  bodyBytesMax: [33_554_432, 1_024, 1_073_741_824],
  /** Silence while a body arrives. A slow upload may take its time as long as it keeps coming. */
  bodyIdleMsMax: [30_000, 100, 3_600_000],
  /** The least pace of a body: a quarter of a megabit a second. One that is slower holds its place for nobody's good. */
  bodyBytesPerSecondMin: [32_768, 1, 1_073_741_824],
  /** All bodies that are read or held at the same time; 0: a thirty-second of the free memory, and room for four at least. */
  bodiesBytesMax: [0, 0, 1_000_000_000_000],
  /** Those of one account; 0: half of all. */
  accountBodiesBytesMax: [0, 0, 1_000_000_000_000],
  /** One image, as it comes. Photographs of phones stay below 10 MB. */
  imageBytesMax: [20_971_520, 1_024, 1_073_741_824],
  /** Width times height of one image that is read. Decoded it takes 4 bytes for each. */
  imagePixelsMax: [40_000_000, 1_024, 1_000_000_000],
  /** One recording, where the plan does not say less. Four hours: longer ones keep an engine from everybody else. */
  audioSecondsMax: [14_400, 1, 604_800],
  /** Images in one call: each may have to be fetched. */
  imagesMax: [32, 1, 10_000],
  /** All images that are kept for links. The oldest go first. */
  blobBytesMax: [1_073_741_824, 0, 1_000_000_000_000],
  /** How long a link to an image lives: as long as OpenAI's. */
  blobMsMax: [3_600_000, 1_000, 31_536_000_000],
  /** An image by URL: name, redirects and body together. */
  fetchMsMax: [10_000, 100, 600_000],
  /** Requests of one class that wait for one model, where data/queue.yaml does not say less; the next one is refused. */
  queueDepthMax: [1_024, 0, 1_000_000],
  /** How long one of them waits, where data/queue.yaml does not say less. Most clients give up after some minutes. */
  queueWaitMsMax: [120_000, 0, 3_600_000],
  /** Silence in a stream after which a comment is sent: no client or proxy that we know cuts before 15 s. */
  keepaliveMs: [10_000, 100, 60_000],
  /** From the engine's slot to the first token, and for a whole answer to another sign of life: a long prompt on a processor takes minutes. */
  firstTokenMsMax: [300_000, 100, 3_600_000],
  /** Between two chunks of an engine's stream. */
  chunkGapMsMax: [60_000, 100, 3_600_000],
  /** A whole answer. The official SDKs give up after ten minutes. */
  answerMsMax: [600_000, 100, 86_400_000],
  /** How long data may wait for a client that does not read. */
  slowReaderMsMax: [60_000, 100, 3_600_000],
  /** How long the end of an answer waits for a ledger that cannot write. Longer than a disk is busy, shorter than callers wait. */
  settleMsMax: [10_000, 100, 600_000],
  /** After SIGTERM: how long running requests may take to end. Kubernetes kills after 30 s by default. */
  drainMsMax: [30_000, 0, 3_600_000],
  /** From the start of a worker until its model is warm: large weights come from a slow disk. */
  loadMsMax: [600_000, 1_000, 86_400_000],
  /** What local workers together may take of the memory; 0: what the machine has left when the server starts. */
  memoryBytesMax: [0, 0, 999_999_999_999_999],
  /** How long an engine that was loaded on demand stays at least, even when others wait for its memory. */
  residentMsMin: [10_000, 0, 3_600_000],
  /** A pinned engine that got no call for so long is asked for one token, so that its memory is not given to others; 0: never. */
  keepWarmMs: [300_000, 0, 86_400_000],
  /** Without a byte from the hub for so long, a pull connects anew. */
  pullStallMsMax: [30_000, 100, 3_600_000],
  /** Failures of an engine in a row after which it gets no calls for a while, as long as others serve its models. */
  ejectErrorsMax: [5, 1, 1_000],
  /** Between two looks at an engine that works. */
  lookMs: [5_000, 100, 3_600_000],
  /** How long the share of an engine grows that has come back. 0: it has all of it at once. */
  slowStartMs: [30_000, 0, 3_600_000],
  /** How far above its share of the calls an engine may be loaded to keep calls where their prompt is known. */
  loadPercentMax: [125, 100, 1_000],
  /** Characters of a prompt by which calls are kept together. 0: they are not, and go to the engine with the least to do. */
  affinityCharsMax: [4_096, 0, 1_048_576],
  /** How long a call whose engine says that it takes no more stands in line again, before its caller hears of it. */
  busyMsMax: [5_000, 0, 3_600_000],
  /** Of the calls, those that may be sent a second time, to another engine. */
  retryPercentMax: [10, 0, 100],
} as const satisfies Record<string, readonly [number, number, number]>;

/** Milliseconds, bytes or a count, as the name says. */
export type Limits = Record<keyof typeof LIMITS, number>;

/** `queueWaitMsMax` as `OXBOW_QUEUE_WAIT_MS_MAX`. */
export function limitVariable(name: string): string {
  return `OXBOW_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
