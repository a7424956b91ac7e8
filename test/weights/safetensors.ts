// Reads weights in the safetensors format: a length in eight bytes, a table in JSON, and the numbers.
// Source: huggingface/safetensors, "Format", read 2026-11-21.

import { readFileSync } from "node:fs";

export interface Tensor {
  shape: number[];
  values: Float32Array;
}

/** @throws Error for a tensor that is not there, or not in 32-bit floats */
export function openSafetensors(file: string): { names: string[]; tensor(name: string): Tensor } {
  const bytes = readFileSync(file);
  const tableBytes = Number(bytes.readBigUInt64LE(0));
  const table = JSON.parse(bytes.toString("utf8", 8, 8 + tableBytes)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const start = 8 + tableBytes;
  return {
    names: Object.keys(table),
    tensor(name) {
      const entry = table[name];
      if (entry?.dtype !== "F32")
        throw new Error(`${name}: ${entry ? `is ${entry.dtype}` : "there is no such tensor"}`);
      const [from, to] = entry.data_offsets;
      // A copy: the numbers need not stand where 32-bit floats may begin.
      const values = new Float32Array(new Uint8Array(bytes.subarray(start + from, start + to)).buffer);
      return { shape: entry.shape, values };
    },
  };
}
