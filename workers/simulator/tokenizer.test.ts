import { expect, test } from "bun:test";
import fc from "fast-check";
import { decode, encode, isToken, VOCABULARY_SIZE } from "./tokenizer.ts";

const texts = (text: string) => encode(text).map(decode);

test("English comes to about four characters a token", () => {
  const text = "Building a production chatbot requires balancing latency, context management, and inference cost.";
  expect(text.length / encode(text).length).toBeGreaterThan(3);
  expect(texts("The weather in  Tokyo, 1234")).toEqual([..."The| weat|her| in| | Toky|o|,| 123|4".split("|")]);
});

test("the texts of the tokens, joined, are the text", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "grapheme" }), fc.stringMatching(/^[ a-zA-Z0-9\n_]*$/)), (text) => {
      expect(texts(text).join("")).toBe(text);
    }),
    { numRuns: 500 },
  );
});

test("a token's text encodes to that token alone, unless no text encodes to it", () => {
  fc.assert(
    fc.property(fc.nat(VOCABULARY_SIZE - 1), (id) => {
      const text = decode(id);
      const ids = encode(text);
      expect(ids.map(decode).join("")).toBe(text);
      for (const each of ids) expect(isToken(each)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
