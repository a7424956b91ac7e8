import { describe, expect, test } from "bun:test";
import { createPrefixCache } from "./prefix-cache.ts";

describe("the prefix cache", () => {
  const tokens = (count: number, from = 0) => Array.from({ length: count }, (_, at) => at + from);

  test("finds what begins alike, in whole blocks, and never the last token", () => {
    const cache = createPrefixCache(100);
    expect(cache.visit("m", tokens(40))).toBe(0);
    expect(cache.visit("m", tokens(40))).toBe(32);
    expect(cache.visit("m", tokens(32))).toBe(16);
    expect(cache.visit("m", [...tokens(20), ...tokens(30, 500)])).toBe(16);
    expect(cache.visit("m", tokens(40, 1))).toBe(0);
    expect(cache.visit("other", tokens(40))).toBe(0);
    cache.clear();
    expect(cache.visit("m", tokens(40))).toBe(0);
  });

  test("forgets what was not seen for longest", () => {
    const cache = createPrefixCache(4);
    cache.visit("m", tokens(33));
    cache.visit("m", tokens(33, 1000));
    expect(cache.visit("m", tokens(33))).toBe(32);
    cache.visit("m", tokens(33, 2000));
    expect(cache.visit("m", tokens(33))).toBe(32);
    expect(cache.visit("m", tokens(33, 1000))).toBe(0);
  });
});
