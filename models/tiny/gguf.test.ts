import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { readGgufFileInfo } from "node-llama-cpp";
import { encodeGguf, tensor } from "./gguf.ts";

test("an independent reader finds the metadata and the tensors that were written", async () => {
  const directory = mkdtempSync(join(tmpdir(), "oxbow-gguf-"));
  try {
    const path = join(directory, "sample.gguf");
    const file = encodeGguf({
      metadata: {
        "general.architecture": "llama",
        "general.name": "Ärger 漢",
        "llama.context_length": { u32: 4_000_000_000 },
        "llama.rope.freq_base": { f32: 0.5 },
        "tokenizer.ggml.add_bos_token": false,
        "tokenizer.ggml.tokens": { strings: ["a", "", "ö"] },
        "tokenizer.ggml.token_type": { i32s: [1, -3, 4] },
      },
      tensors: [
        tensor("a", [3], Float32Array.of(1, -2, 0.5), "F32"),
        tensor("b", [32, 2], new Float32Array(64).fill(3), "Q8_0"),
        tensor("c", [2, 1], Float32Array.of(1, 2), "F16"),
      ],
    });
    writeFileSync(path, file);
    const info = await readGgufFileInfo(path, { logWarnings: false });
    expect(info.version).toBe(3);
    expect(info.metadata).toMatchObject({
      general: { architecture: "llama", name: "Ärger 漢" },
      llama: { context_length: 4_000_000_000, rope: { freq_base: 0.5 } },
      tokenizer: { ggml: { add_bos_token: false, tokens: ["a", "", "ö"], token_type: [1, -3, 4] } },
    });
    const tensors = info.fullTensorInfo!;
    expect(tensors.map(({ name, dimensions, offset }) => [name, dimensions.map(Number), Number(offset)])).toEqual([
      ["a", [3], 0],
      ["b", [32, 2], 32],
      ["c", [2, 1], 32 + 96],
    ]);
    const data = Number(tensors[0]!.fileOffset);
    expect(data % 32).toBe(0);
    expect([...new Float32Array(file.slice(data, data + 12).buffer)]).toEqual([1, -2, 0.5]);
    expect(file.length).toBe(data + 32 + 96 + 32);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("Q8_0 keeps every value within half a step of its block's scale", () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 64, maxLength: 64 }),
      (values) => {
        const { bytes } = tensor("t", [32, 2], Float32Array.from(values), "Q8_0");
        const view = new DataView(bytes.buffer);
        for (const [i, value] of values.entries()) {
          const block = Math.floor(i / 32);
          const read = view.getFloat16(block * 34, true) * view.getInt8(block * 34 + 2 + (i % 32));
          const largest = Math.max(...values.slice(block * 32, block * 32 + 32).map(Math.abs));
          expect(Math.abs(read - value)).toBeLessThanOrEqual(largest * (0.5 / 127 + 2 ** -10) + 2 ** -17);
        }
      },
    ),
  );
});

test("a tensor whose values do not fill its shape is refused", () => {
  expect(() => tensor("t", [2, 2], new Float32Array(3), "F32")).toThrow(RangeError);
  expect(() => tensor("t", [16, 2], new Float32Array(32), "Q8_0")).toThrow(RangeError);
});
