import { expect, test } from "bun:test";
import fc from "fast-check";
import { createTokenizer, trainVocabulary } from "./bpe.ts";

const TEXT = "the cat sat on the mat. The cat's hat, that's that! 12 34 café  naïve\n\nthe end";
const VOCABULARY = trainVocabulary(TEXT, 400, ["<|im_start|>", "<|im_end|>"]);
const tokenizer = createTokenizer(VOCABULARY);

test("every text is read back as it was written", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .array(fc.constantFrom("the", " cat", "<|im_end|>", "<|im_", "\n", "  ", "é", "\u{1f600}"))
      .map((a) => a.join("")),
  );
  fc.assert(fc.property(text, (written) => tokenizer.decode(tokenizer.encode(written)) === written));
});

test("words of the training text become one token each, special tokens stay whole", () => {
  expect(tokenizer.encode("the cat").map((id) => tokenizer.decode([id]))).toEqual(["the", " cat"]);
  expect(tokenizer.encode("a<|im_end|>b").map((id) => tokenizer.decode([id]))).toEqual(["a", "<|im_end|>", "b"]);
});

test("training twice gives the same vocabulary, without a token twice", () => {
  expect(trainVocabulary(TEXT, 400, ["<|im_start|>", "<|im_end|>"])).toEqual(VOCABULARY);
  expect(new Set(VOCABULARY.tokens).size).toBe(VOCABULARY.tokens.length);
});
