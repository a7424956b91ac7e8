import { describe, expect, test } from "bun:test";
import { samplePattern } from "./pattern-sample.ts";
import { createRandom } from "./random.ts";

describe("patterns", () => {
  test("what is made matches", () => {
    const patterns = [
      "^a|b$",
      "(x(y|z)){2}",
      "[^a-y]",
      "\\d{3,}",
      "^\\$\\d+\\.\\d{2}$",
      "[\\w.-]+",
      "a{0}b",
      "\\u0041\\x42",
      "(?<y>\\d{4})?",
      "[a\\]-]",
    ];
    for (const pattern of patterns) {
      for (let seed = 0; seed < 50; seed++)
        expect(samplePattern(pattern, createRandom(seed))).toMatch(new RegExp(pattern, "u"));
    }
  });

  test("what it does not know it does not guess", () => {
    for (const pattern of ["(?=a)b", "\\bword", "(a)\\1", "\\p{L}", "(", "a)", "*", "[z", "a{999999}"]) {
      expect(samplePattern(pattern, createRandom(1))).toBeNull();
    }
  });
});
