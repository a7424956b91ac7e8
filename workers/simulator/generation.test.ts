import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { cutAtStop } from "./generation.ts";
import { sampleTokens } from "./logprobs.ts";
import { encode } from "./tokenizer.ts";

describe("stop strings", () => {
  const sampling = { bias: new Map<number, number>(), frequencyPenalty: 0, presencePenalty: 0, topLogprobs: null };
  const said = (text: string, stop: string[]) => {
    const cut = cutAtStop(sampleTokens(encode(text), sampling), stop);
    return cut?.map((token) => token.text).join("");
  };

  test("what is left is the text before the first of them, wherever tokens end", () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[ab c]{0,40}$/),
        fc.array(fc.stringMatching(/^[ab c]{1,3}$/), { maxLength: 4 }),
        (text, stop) => {
          const places = stop.map((each) => text.indexOf(each)).filter((place) => place >= 0);
          expect(said(text, stop)).toBe(places.length === 0 ? undefined : text.slice(0, Math.min(...places)));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("an empty one stops nothing, and half of a character is never left", () => {
    expect(said("word", [""])).toBeUndefined();
    expect(said("a👍b", ["👍"])).toBe("a");
  });
});
