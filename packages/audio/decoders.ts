// One decoder for each codec: packets in, samples of every channel out. The work is WebAssembly's (eshaz/wasm-audio-decoders)
// except for PCM, which is only read.

import type { Recording } from "./recording.ts";

/** Samples by channel, -1 to 1, all of the same length. */
export type Channels = Float32Array[];

export interface Decoder {
  decode(packets: Uint8Array[]): Promise<Channels>;
  close(): void;
}

type Open = (recording: Recording, description: Uint8Array | null) => Promise<Decoder>;

const DECODERS: Record<string, Open> = { mp3: openMp3, flac: openFlac, opus: openOpus };

/** null: nothing here decodes the codec. @param description what the container says for the decoder */
export async function openDecoder(recording: Recording, description: Uint8Array | null): Promise<Decoder | null> {
  const { codec } = recording;
  if (codec === null) return null;
  const pcm = PCM[codec];
  if (pcm) return { decode: async (packets) => readPcm(packets, recording.channels, pcm), close: () => {} };
  return Object.hasOwn(DECODERS, codec) ? DECODERS[codec]!(recording, description) : null;
}

async function openMp3(): Promise<Decoder> {
  const { MPEGDecoder } = await import("mpg123-decoder");
  const decoder = new MPEGDecoder({ enableGapless: false });
  await decoder.ready;
  return { decode: async (packets) => decoder.decodeFrames(packets).channelData, close: () => decoder.free() };
}

async function openFlac(): Promise<Decoder> {
  const { FLACDecoder } = await import("@wasm-audio-decoders/flac");
  const decoder = new FLACDecoder();
  await decoder.ready;
  return { decode: async (packets) => (await decoder.decodeFrames(packets)).channelData, close: () => decoder.free() };
}

/** Source of the head's fields: RFC 7845, §5.1. */
async function openOpus({ channels }: Recording, description: Uint8Array | null): Promise<Decoder> {
  const { OpusDecoder } = await import("opus-decoder");
  const head = description !== null && description.length >= 19 ? description : null;
  const mapped = head !== null && head[18]! > 0 && head.length >= 21 + channels;
  const layout = mapped
    ? {
        channels,
        streamCount: head[19]!,
        coupledStreamCount: head[20]!,
        channelMappingTable: [...head.subarray(21, 21 + channels)],
      }
    : {
        channels: Math.min(2, channels),
        streamCount: 1,
        coupledStreamCount: channels > 1 ? 1 : 0,
        channelMappingTable: channels > 1 ? [0, 1] : [0],
      };
  const preSkip = head === null ? 0 : head[10]! | (head[11]! << 8);
  const decoder = new OpusDecoder({ ...layout, preSkip });
  await decoder.ready;
  return { decode: async (packets) => decoder.decodeFrames(packets).channelData, close: () => decoder.free() };
}

interface Pcm {
  bytes: number;
  read(view: DataView, at: number): number;
}

const PCM: Record<string, Pcm> = {
  "pcm-u8": { bytes: 1, read: (view, at) => (view.getUint8(at) - 128) / 128 },
  "pcm-s8": { bytes: 1, read: (view, at) => view.getInt8(at) / 128 },
  "pcm-s16": { bytes: 2, read: (view, at) => view.getInt16(at, true) / 32_768 },
  "pcm-s16be": { bytes: 2, read: (view, at) => view.getInt16(at) / 32_768 },
  "pcm-s24": { bytes: 3, read: (view, at) => (view.getInt16(at + 1, true) * 256 + view.getUint8(at)) / 8_388_608 },
  "pcm-s24be": { bytes: 3, read: (view, at) => (view.getInt16(at) * 256 + view.getUint8(at + 2)) / 8_388_608 },
  "pcm-s32": { bytes: 4, read: (view, at) => view.getInt32(at, true) / 2_147_483_648 },
  "pcm-s32be": { bytes: 4, read: (view, at) => view.getInt32(at) / 2_147_483_648 },
  "pcm-f32": { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  "pcm-f32be": { bytes: 4, read: (view, at) => view.getFloat32(at) },
  "pcm-f64": { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  "pcm-f64be": { bytes: 8, read: (view, at) => view.getFloat64(at) },
  ulaw: { bytes: 1, read: (view, at) => fromUlaw(view.getUint8(at)) },
  alaw: { bytes: 1, read: (view, at) => fromAlaw(view.getUint8(at)) },
};

function readPcm(packets: Uint8Array[], channels: number, { bytes, read }: Pcm): Channels {
  const frames = packets.map(({ length }) => Math.floor(length / (bytes * channels)));
  const out = Array.from({ length: channels }, () => new Float32Array(frames.reduce((sum, each) => sum + each, 0)));
  let to = 0;
  for (const [index, packet] of packets.entries()) {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    for (let frame = 0; frame < frames[index]!; frame++, to++) {
      for (let channel = 0; channel < channels; channel++) {
        const value = read(view, (frame * channels + channel) * bytes);
        // A float may hold anything, and one that is no number would spoil everything behind it.
        out[channel]![to] = Number.isFinite(value) ? Math.max(-1, Math.min(1, value)) : 0;
      }
    }
  }
  return out;
}

/** ITU-T G.711. */
function fromUlaw(byte: number): number {
  const code = ~byte & 0xff;
  const size = (((code & 0x0f) << 3) + 0x84) << ((code & 0x70) >> 4);
  return (code & 0x80 ? 0x84 - size : size - 0x84) / 32_768;
}

function fromAlaw(byte: number): number {
  const code = byte ^ 0x55;
  const exponent = (code & 0x70) >> 4;
  const base = (code & 0x0f) << 4;
  const size = exponent === 0 ? base + 8 : (base + 0x108) << (exponent - 1);
  return (code & 0x80 ? size : -size) / 32_768;
}
