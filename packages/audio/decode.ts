// A recording as one channel of samples, piece by piece: what is not yet asked for is not yet decoded, so a small file that
// unpacks to hours fills no memory.

import { ApiError, corruptedAudio } from "@oxbow/contract";
import { openDecoder } from "./decoders.ts";
import { findFfmpeg, openFfmpeg } from "./ffmpeg.ts";
import { BadAudio, openRecording, packetsOf, type Recording } from "./recording.ts";
import { createResampler } from "./resample.ts";

export interface DecodeOptions {
  sampleRate: number;
  /** What its packets say (`measure`); a recording that holds more is not what it says. */
  secondsMax: number;
  signal?: AbortSignal;
}

/** Packets decoded at once: some tens of milliseconds of work, after which others get their turn. */
const BATCH_PACKETS = 128;
/** Samples of all channels that they may unpack to: 16 MB of them. A packet of silence is next to nothing, and long. */
const BATCH_SAMPLES = 4_194_304;
/** Encoders pad the end, and decoders give what was padded. */
const SLACK_S = 1;

/** @throws ApiError for what cannot be decoded, and what would have to be installed; the signal's reason */
export async function* decode(bytes: Uint8Array, options: DecodeOptions): AsyncGenerator<Float32Array, void, void> {
  let left = Math.ceil((options.secondsMax + SLACK_S) * options.sampleRate);
  try {
    const recording = await openRecording(bytes);
    for await (const samples of samplesOf(recording, bytes, options)) {
      options.signal?.throwIfAborted();
      left -= samples.length;
      if (left < 0) throw new BadAudio("it holds more sound than its packets say");
      if (samples.length > 0) yield samples;
    }
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (error instanceof ApiError) throw error;
    throw corruptedAudio(error);
  }
}

async function* samplesOf(recording: Recording, bytes: Uint8Array, options: DecodeOptions) {
  const config = await recording.track.getDecoderConfig().catch(() => null);
  const decoder = await openDecoder(recording, bytesOf(config?.description));
  if (decoder === null) {
    yield* byOthers(recording, bytes, options);
    return;
  }
  // Opus always comes out at 48 kHz, whatever its head says.
  const rate = recording.codec === "opus" ? 48_000 : recording.sampleRate;
  const resampler = createResampler(rate, options.sampleRate);
  try {
    let batch: Uint8Array[] = [];
    let samples = 0;
    for await (const packet of packetsOf(recording)) {
      batch.push(packet.data);
      samples += packet.duration * rate * recording.channels;
      if (batch.length < BATCH_PACKETS && samples < BATCH_SAMPLES) continue;
      samples = 0;
      yield resampler.push(mix(await decoder.decode(batch)));
      batch = [];
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (batch.length > 0) yield resampler.push(mix(await decoder.decode(batch)));
    yield resampler.end();
  } finally {
    decoder.close();
  }
}

function bytesOf(description: unknown): Uint8Array | null {
  if (description instanceof ArrayBuffer) return new Uint8Array(description);
  if (!ArrayBuffer.isView(description)) return null;
  return new Uint8Array(description.buffer, description.byteOffset, description.byteLength);
}

function mix(channels: Float32Array[]): Float32Array {
  if (channels.length <= 1) return channels[0] ?? new Float32Array(0);
  const out = new Float32Array(channels[0]!.length);
  for (const channel of channels) for (let at = 0; at < out.length; at++) out[at]! += channel[at]! / channels.length;
  return out;
}

/** What ffmpeg calls the containers: it is told, so that it does not guess. */
const DEMUXERS: Record<string, string> = {
  WAVE: "wav",
  MP3: "mp3",
  FLAC: "flac",
  Ogg: "ogg",
  WebM: "matroska",
  Matroska: "matroska",
  MP4: "mov",
  "QuickTime File Format": "mov",
  ADTS: "aac",
};

/** Vorbis by its own decoder where it comes in Ogg; whatever else is left by ffmpeg. */
async function* byOthers(recording: Recording, bytes: Uint8Array, options: DecodeOptions) {
  if (recording.codec === "vorbis" && recording.container === "Ogg") {
    yield* vorbis(recording, bytes, options);
    return;
  }
  const path = findFfmpeg();
  if (path === null) {
    const what = recording.codec === null ? "This kind of sound" : recording.codec.toUpperCase();
    const text = `${what} in ${recording.container} can only be decoded here with ffmpeg, which is not installed. Send the recording as wav, mp3, flac, ogg or webm.`;
    throw new ApiError("unsupported_value", text, { param: "file" });
  }
  const demuxer = DEMUXERS[recording.container];
  if (demuxer === undefined) throw new BadAudio(`nothing decodes ${recording.container}`);
  const output = ["-map", "0:a:0", "-f", "f32le", "-ar", String(options.sampleRate), "-ac", "1"];
  const limit = ["-t", String(Math.ceil(options.secondsMax + SLACK_S))];
  const { child, close } = openFfmpeg(path, bytes, demuxer, limit, output);
  options.signal?.addEventListener("abort", close);
  try {
    let rest = new Uint8Array(0);
    for await (const piece of child.stdout) {
      const all = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      const whole = all.length - (all.length % 4);
      // A copy stands at an address that floats can be read from.
      yield new Float32Array(new Uint8Array(all.subarray(0, whole)).buffer);
      rest = new Uint8Array(all.subarray(whole));
    }
    if ((await child.exited) !== 0) throw new BadAudio("ffmpeg could not decode it");
  } finally {
    options.signal?.removeEventListener("abort", close);
    close();
  }
}

const VORBIS_BYTES = 65_536;

async function* vorbis({ sampleRate }: Recording, bytes: Uint8Array, options: DecodeOptions) {
  const { OggVorbisDecoder } = await import("@wasm-audio-decoders/ogg-vorbis");
  const decoder = new OggVorbisDecoder();
  await decoder.ready;
  const resampler = createResampler(sampleRate, options.sampleRate);
  try {
    for (let at = 0; at < bytes.length; at += VORBIS_BYTES) {
      const { channelData } = await decoder.decode(bytes.subarray(at, at + VORBIS_BYTES));
      yield resampler.push(mix(channelData));
      await new Promise((resolve) => setImmediate(resolve));
    }
    yield resampler.push(mix((await decoder.flush()).channelData));
    yield resampler.end();
  } finally {
    decoder.free();
  }
}
