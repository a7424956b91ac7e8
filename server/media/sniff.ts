// What bytes are, by how they begin: never by a name or a content type, which are the caller's word.

import type { ImageFormat } from "@oxbow/contract";

/** The image format that `bytes` begin like; null for everything else, SVG among it, which is a program. */
export function sniff(bytes: Uint8Array): ImageFormat | null {
  if (begins(bytes, [0xff, 0xd8, 0xff])) return "jpeg";
  if (begins(bytes, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])) return "png";
  if (begins(bytes, ascii("GIF87a")) || begins(bytes, ascii("GIF89a"))) return "gif";
  if (begins(bytes, ascii("RIFF")) && begins(bytes.subarray(8), ascii("WEBP"))) return "webp";
  // Two letters are few: the reserved fields of its head (bytes 6 to 9) are zero in every BMP.
  if (begins(bytes, ascii("BM")) && begins(bytes.subarray(6), [0, 0, 0, 0])) return "bmp";
  return null;
}

function begins(bytes: Uint8Array, with_: readonly number[]): boolean {
  return bytes.length >= with_.length && with_.every((byte, index) => bytes[index] === byte);
}

function ascii(text: string): number[] {
  return [...text].map((letter) => letter.charCodeAt(0));
}
