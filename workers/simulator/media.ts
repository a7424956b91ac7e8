// What can be said about attached bytes without understanding them: kind, size, and the dimensions in an image's header.

import { ApiError } from "@oxbow/contract";

/**
 * One sentence about an attachment, for the answer.
 *
 * @param url a `data:` URL, or an address (which is not fetched: the simulator has no network)
 * @param param the field, for the error
 * @throws ApiError `invalid_value` for a data URL that holds no base64
 */
export function describeImage(url: string, param: string): string {
  if (!url.startsWith("data:")) return "An image was given by address; the simulator does not fetch addresses.";
  const comma = url.indexOf(",");
  if (comma < 0 || !url.slice(0, comma).endsWith(";base64")) {
    throw new ApiError("invalid_value", `Invalid '${param}': expected a data URL with base64.`, { param });
  }
  const bytes = fromBase64(url.slice(comma + 1), param);
  const found = measure(bytes);
  if (!found) return `An image of ${bytes.length} bytes was given.`;
  return `A ${found.kind} image of ${found.width}x${found.height} pixels (${bytes.length} bytes) was given.`;
}

/** The same for audio and files, given as bare base64 or as a data URL. */
export function describeBytes(what: string, data: string, param: string): string {
  const base64 = data.startsWith("data:") ? data.slice(data.indexOf(",") + 1) : data;
  return `${what} of ${fromBase64(base64, param).length} bytes was given.`;
}

function fromBase64(text: string, param: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  // Buffer skips what is not base64: only a count of characters tells whether it did.
  const letters = text.replace(/[\s=]/g, "").length;
  if (bytes.length === 0 || Math.floor((letters * 3) / 4) !== bytes.length) {
    throw new ApiError("invalid_value", `Invalid '${param}': expected base64.`, { param });
  }
  return bytes;
}

export interface Dimensions {
  kind: "PNG" | "JPEG" | "GIF" | "WebP";
  width: number;
  height: number;
}

/** Kind and dimensions in pixels, from the header; null for a header that is unknown or cut off. */
export function measure(bytes: Buffer): Dimensions | null {
  if (bytes.length >= 24 && bytes.readUInt32BE(0) === 0x89504e47) {
    return { kind: "PNG", width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  }
  if (bytes.length >= 10 && bytes.toString("latin1", 0, 4) === "GIF8") {
    return { kind: "GIF", width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  }
  if (bytes.length >= 4 && bytes.readUInt16BE(0) === 0xffd8) return measureJpeg(bytes);
  if (bytes.length >= 30 && bytes.toString("latin1", 8, 12) === "WEBP") return measureWebp(bytes);
  return null;
}

/** JPEG (ITU T.81, B.1.1): segments of marker and length, until a start-of-frame, which holds height and width. */
function measureJpeg(bytes: Buffer): Dimensions | null {
  for (let at = 2; at + 9 <= bytes.length; ) {
    const marker = bytes.readUInt16BE(at);
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (isFrame) return { kind: "JPEG", width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    if (marker < 0xff00) return null;
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return null;
}

/** WebP (RFC 9649): a lossy, lossless or extended chunk comes first, each with its own way to write dimensions. */
function measureWebp(bytes: Buffer): Dimensions | null {
  const kind = "WebP";
  switch (bytes.toString("latin1", 12, 16)) {
    case "VP8 ":
      return { kind, width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
    case "VP8L": {
      const bits = bytes.readUInt32LE(21);
      return { kind, width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case "VP8X":
      return { kind, width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
    default:
      return null;
  }
}
