// Reads the header of a GGUF file before any native code sees it: some damaged files abort the process there, and one makes
// the library's own reader count for ever. Bounds come from the file's size, so reading ends whatever the file says.
// Format: ggml `docs/gguf.md`, read 2026-11-21.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { UnusableModel } from "@oxbow/worker";
import { checkModel, type GgufHeader } from "./gguf-check.ts";
import { show } from "./show.ts";

/**
 * @param check what else the header must hold; by default what a model of text needs
 * @throws UnusableModel naming what is wrong with the file; no native code runs
 */
export function readGgufHeader(path: string, check: (header: GgufHeader) => void = checkModel): GgufHeader {
  const file = openModel(path);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new UnusableModel("is not a file");
    const reader = createReader(file, stat.size);
    const counts = readPreamble(reader);
    const { values, arrays } = readMetadata(reader, counts.values);
    const tensors = readTensors(reader, counts.tensors, values);
    const header = { size: stat.size, values, arrays, tensors };
    check(header);
    return header;
  } finally {
    closeSync(file);
  }
}

function openModel(path: string): number {
  try {
    // Without waiting: a pipe would be waited for until somebody writes, and the worker with it.
    return openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw new UnusableModel("does not exist");
    throw new UnusableModel(`cannot be opened (${code})`);
  }
}

type Reader = ReturnType<typeof createReader>;

/** Sequential reading through a window, so that a header of megabytes costs few system calls and little memory. */
function createReader(file: number, size: number) {
  const buffer = Buffer.alloc(1 << 20);
  let start = 0;
  let held = 0;
  let at = 0;

  /** Makes `count` bytes from the position on readable, at most a window. */
  function need(count: number): number {
    if (at + count > size) throw new UnusableModel("is cut off: its header goes on beyond the end of the file");
    if (at < start || at + count > start + held) {
      start = at;
      held = readSync(file, buffer, 0, Math.min(buffer.length, size - at), at);
      if (held < count) throw new UnusableModel("cannot be read to its end");
    }
    const offset = at - start;
    at += count;
    return offset;
  }
  function u64(): number {
    const value = buffer.readBigUInt64LE(need(8));
    // What does not fit a double is beyond any file.
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value);
  }
  return {
    size,
    position: () => at,
    left: () => size - at,
    bytes: (count: number) => {
      const offset = need(count);
      return buffer.subarray(offset, offset + count);
    },
    u8: () => buffer.readUInt8(need(1)),
    i8: () => buffer.readInt8(need(1)),
    u16: () => buffer.readUInt16LE(need(2)),
    i16: () => buffer.readInt16LE(need(2)),
    u32: () => buffer.readUInt32LE(need(4)),
    i32: () => buffer.readInt32LE(need(4)),
    f32: () => buffer.readFloatLE(need(4)),
    f64: () => buffer.readDoubleLE(need(8)),
    u64,
    i64: () => Number(buffer.readBigInt64LE(need(8))),
    skip(count: number) {
      if (count > size - at) throw new UnusableModel("is cut off: its header goes on beyond the end of the file");
      at += count;
    },
    /** Empty when longer than `TEXT_BYTES_MAX`. Bytes become characters one by one: enough to compare and to show. */
    string(): string {
      const length = u64();
      if (length > size - at) throw new UnusableModel("is damaged: a text in its header is longer than the file");
      if (length > TEXT_BYTES_MAX) {
        at += length;
        return "";
      }
      const offset = need(length);
      return buffer.toString("latin1", offset, offset + length);
    },
  };
}

/** Keys, names and single texts; a window holds it. A chat template, the longest, has some 20 kB. */
const TEXT_BYTES_MAX = 1 << 18;

/** Magic number, version and the two counts, each bounded by what the file can hold. */
function readPreamble(reader: Reader): { tensors: number; values: number } {
  if (reader.size < 24) throw new UnusableModel("is not a GGUF file: it is shorter than the smallest header");
  if (reader.bytes(4).toString("latin1") !== "GGUF") throw new UnusableModel("is not a GGUF file");
  const version = reader.u32();
  if (version > 0xffff) throw new UnusableModel("is a big-endian GGUF file, which this machine cannot read");
  if (version < 2 || version > 3) throw new UnusableModel(`has GGUF version ${version}; versions 2 and 3 can be read`);
  const tensors = reader.u64();
  const values = reader.u64();
  if (tensors * TENSOR_BYTES_MIN + values * VALUE_BYTES_MIN > reader.left()) {
    throw new UnusableModel("is damaged: its header counts more entries than the file can hold");
  }
  if (tensors === 0) throw new UnusableModel("holds no tensors");
  return { tensors, values };
}

/** Length of the name, number of dimensions, one dimension, type and offset. */
const TENSOR_BYTES_MIN = 8 + 4 + 8 + 4 + 8;
/** Length of the key, type and a value of one byte. */
const VALUE_BYTES_MIN = 8 + 4 + 1;

const STRING = 8;
const ARRAY = 9;
/** The value types but string and array, by their number in the format: how to read one, and its bytes. */
const SCALARS: Record<number, { read: (reader: Reader) => number | boolean; bytes: number }> = {
  0: { read: (reader) => reader.u8(), bytes: 1 },
  1: { read: (reader) => reader.i8(), bytes: 1 },
  2: { read: (reader) => reader.u16(), bytes: 2 },
  3: { read: (reader) => reader.i16(), bytes: 2 },
  4: { read: (reader) => reader.u32(), bytes: 4 },
  5: { read: (reader) => reader.i32(), bytes: 4 },
  6: { read: (reader) => reader.f32(), bytes: 4 },
  7: { read: (reader) => reader.u8() !== 0, bytes: 1 },
  10: { read: (reader) => reader.u64(), bytes: 8 },
  11: { read: (reader) => reader.i64(), bytes: 8 },
  12: { read: (reader) => reader.f64(), bytes: 8 },
};

function readMetadata(reader: Reader, count: number): Pick<GgufHeader, "values" | "arrays"> {
  const values: GgufHeader["values"] = new Map();
  const arrays: GgufHeader["arrays"] = new Map();
  for (let i = 0; i < count; i++) {
    const key = reader.string();
    // ASCII, says the format; the library aborts on a key that begins with a zero byte.
    if (!/^[\x20-\x7e]+$/.test(key)) throw new UnusableModel(`is damaged: ${show(key)} is no key`);
    if (values.has(key) || arrays.has(key)) throw new UnusableModel(`is damaged: its key ${show(key)} appears twice`);
    const type = reader.u32();
    if (type === STRING) values.set(key, reader.string());
    else if (type === ARRAY) arrays.set(key, skipArray(reader, key));
    else values.set(key, scalarOf(type, key).read(reader));
  }
  return { values, arrays };
}

function skipArray(reader: Reader, key: string): { type: number; length: number } {
  const type = reader.u32();
  const length = reader.u64();
  const bytesMin = type === STRING ? 8 : scalarOf(type, key).bytes;
  if (length * bytesMin > reader.left()) {
    throw new UnusableModel(`is damaged: its list ${show(key)} is longer than the file`);
  }
  if (type !== STRING) reader.skip(length * bytesMin);
  else if (key === TOKENS) refuseRepeated(reader, length);
  else for (let i = 0; i < length; i++) reader.skip(reader.u64());
  return { type, length };
}

/** The loader aborts when two tokens are the same. */
function refuseRepeated(reader: Reader, count: number): void {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) {
    seen.add(reader.string());
    if (seen.size <= i) throw new UnusableModel("is damaged: a token of its vocabulary appears twice");
  }
}

const TOKENS = "tokenizer.ggml.tokens";

function scalarOf(type: number, key: string) {
  const scalar = SCALARS[type];
  if (!scalar) throw new UnusableModel(`is damaged: its key ${show(key)} has the unknown type ${type}`);
  return scalar;
}

function readTensors(reader: Reader, count: number, values: GgufHeader["values"]): GgufHeader["tensors"] {
  const tensors: { name: string; shape: number[]; end: number }[] = [];
  const alignment = values.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment > 1 << 20 || (alignment & (alignment - 1)) !== 0) {
    throw new UnusableModel("is damaged: its alignment is not a power of two");
  }
  for (let i = 0; i < count; i++) {
    const name = reader.string();
    const dimensions = reader.u32();
    if (dimensions < 1 || dimensions > 4)
      throw new UnusableModel(`is damaged: ${show(name)} has ${dimensions} dimensions`);
    const shape = Array.from({ length: dimensions }, () => reader.u64());
    const type = reader.u32();
    const offset = reader.u64();
    const elements = shape.reduce((product, size) => product * size, 1);
    if (!(elements >= 1 && elements <= Number.MAX_SAFE_INTEGER)) {
      throw new UnusableModel(`is damaged: ${show(name)} has an impossible shape`);
    }
    if (offset % alignment !== 0) throw new UnusableModel(`is damaged: ${show(name)} begins between two blocks`);
    tensors.push({ name, shape, end: offset + bytesOf(type, elements) });
  }
  const dataStart = Math.ceil(reader.position() / alignment) * alignment;
  for (const { name, end } of tensors) {
    if (dataStart + end <= reader.size) continue;
    throw new UnusableModel(`is incomplete: ${show(name)} goes on beyond the end of the file`);
  }
  const byName = new Map(tensors.map(({ name, shape }) => [name, { shape }]));
  if (byName.size < count) throw new UnusableModel("is damaged: two of its tensors have the same name");
  return byName;
}

/** At least so many bytes: exact for the types below, one for any other, which the loader itself then judges. */
function bytesOf(type: number, elements: number): number {
  const [perBlock, bytes] = TENSOR_TYPES[type] ?? [elements, 1];
  return (elements / perBlock) * bytes;
}

/** Elements and bytes of a block, by type number. Source: ggml `ggml_type` and `ggml-common.h`, read 2026-11-21. */
const TENSOR_TYPES: Record<number, [elements: number, bytes: number]> = {
  0: [1, 4], // F32
  1: [1, 2], // F16
  2: [32, 18], // Q4_0
  3: [32, 20], // Q4_1
  6: [32, 22], // Q5_0
  7: [32, 24], // Q5_1
  8: [32, 34], // Q8_0
  10: [256, 84], // Q2_K
  11: [256, 110], // Q3_K
  12: [256, 144], // Q4_K
  13: [256, 176], // Q5_K
  14: [256, 210], // Q6_K
  30: [1, 2], // BF16
};
