import { expect, test } from "bun:test";
import fc from "fast-check";
import { describeBytes, measure } from "./media.ts";

test("dimensions are read from the headers of images", () => {
  const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");
  expect(measure(bytes("474946383961 0a00 1400"))).toEqual({ kind: "GIF", width: 10, height: 20 });
  expect(measure(bytes("ffd8 ffe0 0004 0000 ffc0 0011 08 01e0 0280 03"))).toEqual({
    kind: "JPEG",
    width: 640,
    height: 480,
  });
  const riff = (chunk: string) => bytes(`52494646 00000000 57454250 ${chunk} ${"00".repeat(16)}`);
  expect(measure(riff("56503858 0a000000 00000000 7f0200 df0100"))).toEqual({ kind: "WebP", width: 640, height: 480 });
  expect(measure(riff("56503820 00000000 000000 9d012a 8002 e001"))).toEqual({ kind: "WebP", width: 640, height: 480 });
  expect(measure(riff("5650384c 00000000 2f 7fc27700"))).toEqual({ kind: "WebP", width: 640, height: 480 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (any) => void measure(Buffer.from(any))));
  expect(describeBytes("A file", "data:text/plain;base64,aGk=", "p")).toBe("A file of 2 bytes was given.");
  expect(() => describeBytes("A file", "§§", "p")).toThrow("expected base64");
});
