// Opus in Ogg (RFC 6716, RFC 7845): opusscript encodes, the pages are written here as they fill.

import OpusScript from "opusscript";
import { bytesOf, type Encoder, SPEECH_SAMPLE_RATE, toInt16 } from "./sound.ts";

/** 20 ms. */
const FRAME = SPEECH_SAMPLE_RATE / 50;
/** Ogg counts the samples of Opus at 48 kHz, whatever went in. */
const SCALE = 48_000 / SPEECH_SAMPLE_RATE;
/** What libopus needs to settle, at 48 kHz: its look-ahead of 6.5 ms. Players cut it off. */
const PRE_SKIP = 312;
const BITS_PER_SECOND = 48_000;
/** A second in a page at most: players show nothing before a page is whole. The first comes sooner. */
const PAGE_FRAMES_MAX = 25;

export function openOpus(): Encoder {
  const opus = new OpusScript(SPEECH_SAMPLE_RATE, 1, OpusScript.Application.AUDIO);
  opus.setBitrate(BITS_PER_SECOND);
  const page = createPages();
  let rest: Float32Array = new Float32Array(0);
  let samplesIn = 0;
  let granule = 0;
  let packets: Uint8Array[] = [];

  function encode(frame: Float32Array): void {
    packets.push(opus.encode(Buffer.from(bytesOf(toInt16(frame))), FRAME));
    granule += FRAME * SCALE;
  }

  return {
    async push(samples) {
      samplesIn += samples.length;
      const all = joined(rest, samples);
      const out: Uint8Array[] = [];
      let at = 0;
      for (; at + FRAME <= all.length; at += FRAME) {
        encode(all.subarray(at, at + FRAME));
        if (packets.length < PAGE_FRAMES_MAX) continue;
        out.push(page(packets, granule, false));
        packets = [];
      }
      rest = all.slice(at);
      return Buffer.concat(out);
    },
    async end() {
      // The last samples, and as much silence as the encoder holds back.
      const heard = PRE_SKIP + samplesIn * SCALE;
      while (rest.length > 0 || granule < heard) {
        const frame = new Float32Array(FRAME);
        frame.set(rest.subarray(0, FRAME));
        rest = rest.slice(FRAME);
        encode(frame);
      }
      // Where the sound ends inside of the last packet.
      return page(packets, heard, true);
    },
    close: () => opus.delete(),
  };
}

/** Pages of one stream; the first one brings the two heads along. */
function createPages(): (packets: readonly Uint8Array[], granule: number, last: boolean) => Uint8Array {
  let sequence = 0;
  const write = (packets: readonly Uint8Array[], granule: number, flags: number) => {
    const lacing = packets.flatMap(({ length }) => [...new Array(Math.floor(length / 255)).fill(255), length % 255]);
    const head = Buffer.alloc(27);
    head.write("OggS", 0, "latin1");
    head.writeUInt8(flags, 5);
    head.writeBigUInt64LE(BigInt(granule), 6);
    head.writeUInt32LE(SERIAL, 14);
    head.writeUInt32LE(sequence++, 18);
    head.writeUInt8(lacing.length, 26);
    const bytes = Buffer.concat([head, Buffer.from(lacing), ...packets]);
    bytes.writeUInt32LE(checksum(bytes), 22);
    return bytes;
  };
  return (packets, granule, last) => {
    const heads = sequence === 0 ? [write([opusHead()], 0, BEGIN), write([opusTags()], 0, 0)] : [];
    return Buffer.concat([...heads, write(packets, granule, last ? END : 0)]);
  };
}

const BEGIN = 2;
const END = 4;
/** One stream in a file: any number will do. */
const SERIAL = 1;

function opusHead(): Uint8Array {
  const head = Buffer.alloc(19);
  head.write("OpusHead", 0, "latin1");
  head.writeUInt8(1, 8);
  head.writeUInt8(1, 9);
  head.writeUInt16LE(PRE_SKIP, 10);
  head.writeUInt32LE(SPEECH_SAMPLE_RATE, 12);
  return head;
}

function opusTags(): Uint8Array {
  const vendor = Buffer.from("oxbow");
  const tags = Buffer.alloc(8 + 4 + vendor.length + 4);
  tags.write("OpusTags", 0, "latin1");
  tags.writeUInt32LE(vendor.length, 8);
  vendor.copy(tags, 12);
  return tags;
}

/** Ogg's own: the polynomial 0x04c11db7, not reflected, starting at 0 (RFC 3533). */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = ((sum << 8) ^ TABLE[((sum >>> 24) ^ byte) & 0xff]!) >>> 0;
  return sum;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let sum = index << 24;
  for (let bit = 0; bit < 8; bit++) sum = sum & 0x8000_0000 ? (sum << 1) ^ 0x04c1_1db7 : sum << 1;
  return sum;
});

function joined(a: Float32Array, b: Float32Array): Float32Array {
  if (a.length === 0) return b;
  const all = new Float32Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
