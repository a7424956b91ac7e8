import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { corruptFiles, tinyRandom, tinyReason, tinyScripted } from "./fixtures.ts";
import { readGgufHeader, UnusableModel } from "./gguf-header.ts";
import { temporaryDirectory } from "./testing.ts";

const directory = temporaryDirectory();
afterAll(directory.remove);
const sound = readFileSync(tinyRandom(directory.path));

function check(bytes: Uint8Array): ReturnType<typeof readGgufHeader> {
  const path = join(directory.path, "check.gguf");
  writeFileSync(path, bytes);
  return readGgufHeader(path);
}

test("sound files pass", () => {
  for (const make of [tinyRandom, tinyScripted, tinyReason]) {
    const header = readGgufHeader(make(directory.path));
    expect(header.values.get("general.architecture")).toBe("llama");
    expect(header.tensors.get("token_embd.weight")?.shape[0]).toBe(64);
    expect(header.arrays.get("tokenizer.ggml.tokens")?.length).toBeGreaterThan(500);
  }
});

/** Faults that only the loader can see, and reports without harm. The rest must not get that far. */
const LEFT_TO_THE_LOADER = [
  "tensor-type-unknown",
  "head-count-not-a-divisor",
  "embedding-length-wrong",
  "tensors-missing",
  "vocabulary-too-short",
  "merges-missing",
];

for (const { name, path } of corruptFiles(join(directory.path, "corrupt"))) {
  if (LEFT_TO_THE_LOADER.includes(name)) continue;
  test(`a file with the fault ${name} is refused before native code sees it`, () => {
    expect(() => readGgufHeader(path)).toThrow(UnusableModel);
  });
}

test("a file that is not there, and a directory, are refused in words", () => {
  expect(() => readGgufHeader(join(directory.path, "none.gguf"))).toThrow("does not exist");
  expect(() => readGgufHeader(directory.path)).toThrow("is not a file");
});

test("a file cut off anywhere is refused", () => {
  fc.assert(
    fc.property(fc.nat(sound.length - 33), (length) => {
      expect(() => check(sound.subarray(0, length))).toThrow(UnusableModel);
    }),
    { numRuns: 50 },
  );
});

test("a header with any bytes changed is read or refused, quickly, and nothing else", () => {
  const headerBytes = 12_000;
  const changes = fc.array(fc.record({ at: fc.nat(headerBytes), byte: fc.nat(255) }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(changes, (changed) => {
      const bytes = Uint8Array.from(sound);
      for (const { at, byte } of changed) bytes[at] = byte;
      try {
        check(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(UnusableModel);
      }
    }),
    { numRuns: 200 },
  );
});
