// Files that are no models: foreign formats, broken copies, and headers that lie. Each must end as a clear error of
// that model. Measured with node-llama-cpp 3.22.1 left to itself: most throw, `head-count-zero`, `block-count-huge` and
// `vocabulary-empty` abort the process, `tensor-count-huge-alone` never comes back.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeGguf, type Gguf } from "../../models/tiny/gguf.ts";

export interface CorruptFile {
  /** What is wrong with it, in kebab-case. */
  name: string;
  path: string;
}

/** Writes one file for each fault into `directory`, which is made if missing. @param sound a model that loads */
export function writeCorruptFiles(directory: string, sound: () => Gguf): CorruptFile[] {
  mkdirSync(directory, { recursive: true });
  const file = encodeGguf(sound());
  const faults = { ...foreign(), ...cut(file), ...lyingHeader(file), ...impossible(sound) };
  return Object.entries(faults).map(([name, bytes]) => {
    const path = join(directory, `${name}.gguf`);
    writeFileSync(path, bytes);
    return { name, path };
  });
}

type Faults = Record<string, Uint8Array | string>;

function foreign(): Faults {
  return {
    "html-page": "<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n",
    "git-lfs-pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 133169152\n",
    "zero-bytes": new Uint8Array(65_536),
    "zip-archive": Uint8Array.of(0x50, 0x4b, 3, 4, ...new Uint8Array(60)),
    "older-ggml-format": Uint8Array.of(0x6c, 0x6d, 0x67, 0x67, ...new Uint8Array(60)),
    safetensors: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d),
  };
}

/** A download that stopped: after the magic, within the header, within the metadata, within the data. */
function cut(file: Uint8Array): Faults {
  return {
    empty: file.subarray(0, 0),
    "cut-after-magic": file.subarray(0, 4),
    "cut-in-header": file.subarray(0, 20),
    "cut-in-metadata": file.subarray(0, after(file, "tokenizer.ggml.tokens") + 1000),
    "cut-in-tensor-table": file.subarray(0, after(file, "output.weight")),
    "cut-in-tensor-data": file.subarray(0, Math.floor(file.length * 0.6)),
    "cut-before-last-bytes": file.subarray(0, file.length - 64),
  };
}

/** One number of the header changed. Layout: see models/tiny/gguf.ts. */
function lyingHeader(file: Uint8Array): Faults {
  const with32 = (at: number, value: number) => patched(file, (view) => view.setUint32(at, value, true));
  const with64 = (at: number, value: bigint) => patched(file, (view) => view.setBigUint64(at, value, true));
  const arrayType = after(file, "tokenizer.ggml.tokens") + 4;
  const tensor = after(file, "output.weight"); // u32 dimensions, u64 columns, u64 rows, u32 type, u64 offset
  return {
    "version-0": with32(4, 0),
    "version-99": with32(4, 99),
    "big-endian": patched(file, (view) => view.setUint32(4, 3, false)),
    "tensor-count-huge": with64(8, 2n ** 48n),
    "tensor-count-negative": with64(8, 2n ** 64n - 1n),
    "metadata-count-huge": with64(16, 2n ** 48n),
    "key-length-huge": with64(24, 2n ** 62n),
    "value-type-unknown": with32(after(file, "general.name"), 99),
    "array-type-unknown": with32(arrayType, 99),
    "array-length-huge": with64(arrayType + 4, 2n ** 60n),
    "dimensions-too-many": with32(tensor, 1000),
    "dimension-zero": with64(tensor + 4, 0n),
    "dimension-huge": with64(tensor + 4, 2n ** 61n),
    "dimension-negative": with64(tensor + 4, 2n ** 64n - 64n),
    "tensor-type-unknown": with32(tensor + 20, 999),
    "tensor-beyond-end-of-file": with64(tensor + 24, 2n ** 40n),
    "tensor-unaligned": with64(tensor + 24, 7n),
    "alignment-zero": with32(after(file, "general.alignment") + 4, 0),
    "alignment-7": with32(after(file, "general.alignment") + 4, 7),
    "head-count-zero": with32(after(file, "llama.attention.head_count") + 4, 0),
    "head-count-not-a-divisor": with32(after(file, "llama.attention.head_count") + 4, 7),
    "block-count-huge": with32(after(file, "llama.block_count") + 4, 0x7fff_ffff),
    "embedding-length-wrong": with32(after(file, "llama.embedding_length") + 4, 128),
    "embedding-length-zero": with32(after(file, "llama.embedding_length") + 4, 0),
  };
}

/** Well-formed files that describe no usable model. */
function impossible(sound: () => Gguf): Faults {
  const changed = (change: (model: Gguf) => void) => {
    const model = sound();
    change(model);
    return encodeGguf(model);
  };
  return {
    "tensor-count-huge-alone": patched(encodeGguf({ metadata: {}, tensors: [] }), (view) =>
      view.setBigUint64(8, 2n ** 48n, true),
    ),
    "no-metadata": encodeGguf({ metadata: {}, tensors: [] }),
    "architecture-missing": changed((model) => delete model.metadata["general.architecture"]),
    "architecture-unknown": changed((model) => {
      model.metadata["general.architecture"] = "abacus";
    }),
    "tensors-missing": changed((model) => {
      model.tensors = model.tensors.filter(({ name }) => name !== "blk.1.attn_k.weight");
    }),
    "tensor-twice": changed((model) => {
      model.tensors.push(model.tensors[0]!);
    }),
    "vocabulary-missing": changed((model) => delete model.metadata["tokenizer.ggml.tokens"]),
    "vocabulary-empty": changed((model) => {
      model.metadata["tokenizer.ggml.tokens"] = { strings: [] };
    }),
    "vocabulary-too-short": changed((model) => {
      model.metadata["tokenizer.ggml.tokens"] = { strings: ["a", "b", "c"] };
    }),
    "merges-missing": changed((model) => delete model.metadata["tokenizer.ggml.merges"]),
  };
}

/** The offset right after the first occurrence of `name` that stands as a whole string, its length before it. */
function after(file: Uint8Array, name: string): number {
  const bytes = Buffer.from(`${"\0".repeat(8)}${name}`);
  bytes.writeBigUInt64LE(BigInt(name.length));
  const at = Buffer.from(file.buffer, file.byteOffset, file.length).indexOf(bytes);
  if (at < 0) throw new RangeError(`no ${name} in the file`);
  return at + bytes.length;
}

function patched(file: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = file.slice();
  change(new DataView(copy.buffer));
  return copy;
}
