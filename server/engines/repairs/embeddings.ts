// The form of embeddings: base64 when it was asked for, numbers when not. SDKs ask for base64 by themselves and some read
// nothing else; others read only numbers.

import { isObject, type Json } from "../json.ts";
import { eachChunk, type Repair } from "./repair.ts";

export const embeddings: Repair = {
  about: "Embeddings are base64 (little-endian, 32 bits) when the call asked for it, and numbers when not.",
  stream: () => eachChunk(() => false),

  whole(answer, { path, asked }) {
    if (path !== "/v1/embeddings" || !Array.isArray(answer.data)) return false;
    const packed = asked?.encoding_format === "base64";
    let changed = false;
    for (const row of answer.data.filter(isObject) as Json[]) {
      if (packed && Array.isArray(row.embedding)) row.embedding = packedOf(row.embedding as number[]);
      else if (!packed && typeof row.embedding === "string") row.embedding = numbersOf(row.embedding);
      else continue;
      changed = true;
    }
    return changed;
  },
};

function packedOf(numbers: number[]): string {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, number] of numbers.entries()) bytes.writeFloatLE(number, index * 4);
  return bytes.toString("base64");
}

function numbersOf(packed: string): number[] {
  const bytes = Buffer.from(packed, "base64");
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readFloatLE(index * 4));
}
