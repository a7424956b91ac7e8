import { describe, expect, test } from "bun:test";
import {
  type ApiError,
  decodeVector,
  type EmbeddingAnswer,
  embeddingAnswer,
  embeddingTokensBound,
  encodeVector,
  inputField,
  normalise,
  parseEmbeddingRequest,
  shorten,
  tidyEmbeddings,
} from "./contract.ts";

const bytesOf = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const read = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as EmbeddingAnswer;
const VECTORS = [Float32Array.of(0.6, 0.8, 0), Float32Array.of(0, 0, 1)];

describe("a vector", () => {
  test("is the same 32-bit numbers in both encodings, little-endian", () => {
    expect(encodeVector(Float32Array.of(1, -2), "base64")).toBe("AACAPwAAAMA=");
    for (const format of ["float", "base64"] as const) {
      expect(decodeVector(encodeVector(VECTORS[0]!, format))).toEqual(VECTORS[0]!);
    }
  });

  test.each([["what"], ["AAA="], [[1, "2"]], [null], [7]])("%j is none", (value) => {
    expect(decodeVector(value)).toBeNull();
  });

  test("is cut and made 1 again, and one of zeros stays what it is", () => {
    const cut = shorten(Float32Array.of(3, 4, 12), 2);
    expect([...cut].map((each) => Math.round(each * 1e6) / 1e6)).toEqual([0.6, 0.8]);
    expect(shorten(VECTORS[0]!, 3)).toBe(VECTORS[0]!);
    expect(normalise(new Float32Array(2))).toEqual(new Float32Array(2));
  });
});

describe("an engine's answer", () => {
  test("that is right passes as the very bytes it came in", () => {
    for (const format of ["float", "base64"] as const) {
      const bytes = bytesOf(embeddingAnswer("m", VECTORS, format, 4));
      expect(tidyEmbeddings(bytes, format, null)).toBe(bytes);
      expect(tidyEmbeddings(bytes, format, 3)).toBe(bytes);
    }
    const spaced = bytesOf('{"data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}], "usage": {}}');
    expect(tidyEmbeddings(spaced, "float", null)).toBe(spaced);
  });

  test("in the other encoding is written again, whichever was asked for", () => {
    const floats = bytesOf(embeddingAnswer("m", VECTORS, "float", 4));
    const base64 = bytesOf(embeddingAnswer("m", VECTORS, "base64", 4));
    expect(tidyEmbeddings(floats, "base64", null)).toEqual(base64);
    expect(tidyEmbeddings(base64, "float", null)).toEqual(floats);
  });

  test("with longer vectors than were asked for is cut", () => {
    const { data } = read(tidyEmbeddings(bytesOf(embeddingAnswer("m", VECTORS, "float", 4)), "float", 1));
    expect(data.map(({ embedding }) => embedding)).toEqual([[1], [0]]);
  });

  test("keeps what else it says, and gets its order back", () => {
    const answer = read(bytesOf(embeddingAnswer("m", VECTORS, "float", 4)));
    const odd = { ...answer, data: answer.data.toReversed(), id: "embd-1" };
    const tidy = read(tidyEmbeddings(bytesOf(odd), "base64", null));
    expect(tidy).toMatchObject({ id: "embd-1", model: "m", usage: { prompt_tokens: 4, total_tokens: 4 } });
    expect(tidy.data.map(({ index }) => index)).toEqual([0, 1]);
  });

  test.each(["", "[]", "{}", '{"data":[{"embedding":"what"}]}'])("%s is none", (text) => {
    expect(() => tidyEmbeddings(bytesOf(text), "float", null)).toThrow("holds no vectors");
  });
});

test("a call is bounded by its bytes, and a field names its place", () => {
  const one = parseEmbeddingRequest({ model: "m", input: "é" });
  const many = parseEmbeddingRequest({ model: "m", input: [[1, 2], [3]] });
  expect(embeddingTokensBound(one)).toBeGreaterThanOrEqual(2);
  expect(embeddingTokensBound(many)).toBeGreaterThanOrEqual(3);
  expect([inputField(one, 0), inputField(many, 1)]).toEqual(["input", "input[1]"]);
});

test("a token with a fraction is told from a text", () => {
  for (const [input, param] of [
    [[1.5], "input[0]"],
    [[[1.5]], "input[0][0]"],
  ]) {
    const refused = (() => {
      try {
        parseEmbeddingRequest({ model: "m", input });
      } catch (error) {
        return error as ApiError;
      }
    })();
    expect(refused?.message).toBe(`Invalid type for '${param}': expected an integer, but got a decimal instead.`);
  }
});
