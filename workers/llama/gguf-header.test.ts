import { afterAll, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UnusableModel } from "@oxbow/worker";
import fc from "fast-check";
import { encodeGguf, type Gguf } from "../../models/tiny/gguf.ts";
import { corruptFiles, randomModel, tinyRandom, tinyReason, tinyScripted } from "./fixtures.ts";
import { readGgufHeader } from "./gguf-header.ts";
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

/** Found by changing bytes of a sound header: the loader aborts the process on each. */
const ABORTING: Record<string, (model: Gguf) => void> = {
  "the width of the feed-forward part is missing": ({ metadata }) => delete metadata["llama.feed_forward_length"],
  "epsilon is below zero": ({ metadata }) => {
    metadata["llama.attention.layer_norm_rms_epsilon"] = { f32: -1 };
  },
  "a key begins with a zero byte": ({ metadata }) => {
    metadata["\0lama.rope.freq_base"] = { f32: 1 };
  },
  "a token appears twice": ({ metadata }) => {
    const { strings } = metadata["tokenizer.ggml.tokens"] as { strings: string[] };
    metadata["tokenizer.ggml.tokens"] = { strings: [...strings.slice(0, -1), strings[0]!] };
  },
};
for (const [fault, spoil] of Object.entries(ABORTING)) {
  test(`a file is refused when ${fault}`, () => {
    const model = randomModel();
    spoil(model);
    expect(() => check(encodeGguf(model))).toThrow(UnusableModel);
  });
}

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

test("a pipe in place of a file is refused without waiting for a writer", () => {
  const pipe = join(tmpdir(), `oxbow-pipe-${process.pid}`);
  Bun.spawnSync(["mkfifo", pipe]);
  try {
    expect(() => readGgufHeader(pipe)).toThrow("is not a file");
  } finally {
    rmSync(pipe, { force: true });
  }
});
