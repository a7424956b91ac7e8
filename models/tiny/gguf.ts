// Writes GGUF version 3, the model file of llama.cpp: a header, typed metadata, a table of tensors, then their data.
// Format: ggml `docs/gguf.md`, read 2026-11-21. Same input, same bytes: nothing here depends on time or machine.

/** A metadata value. Plain strings and booleans stand for themselves, numbers name their width. */
export type GgufValue =
  | string
  | boolean
  | { u32: number }
  | { f32: number }
  | { strings: string[] }
  | { i32s: number[] }
  | { f32s: number[] };

export interface GgufTensor {
  name: string;
  /** Elements per dimension, the innermost (contiguous) first: a matrix of 3 rows and 64 columns is `[64, 3]`. */
  shape: number[];
  type: TensorType;
  /** The elements, encoded as `type` says. */
  bytes: Uint8Array;
}

export interface Gguf {
  metadata: Record<string, GgufValue>;
  tensors: GgufTensor[];
}

export type TensorType = "F32" | "F16" | "Q8_0";

/** Bytes; llama.cpp's default, so files need not state it, though ours do. */
const ALIGNMENT = 32;

const TENSOR_TYPE = { F32: 0, F16: 1, Q8_0: 8 } as const;
const VALUE_TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
/** Elements that share one scale in Q8_0; a row's length must be a multiple of it. */
const Q8_BLOCK = 32;

/** The file's bytes. */
export function encodeGguf({ metadata, tensors }: Gguf): Uint8Array {
  const head = new Writer();
  head.bytes(new TextEncoder().encode("GGUF"));
  head.u32(3);
  head.u64(tensors.length);
  head.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    head.string(key);
    writeValue(head, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    head.string(tensor.name);
    head.u32(tensor.shape.length);
    for (const size of tensor.shape) head.u64(size);
    head.u32(TENSOR_TYPE[tensor.type]);
    head.u64(offset);
    offset += aligned(tensor.bytes.length);
  }
  const dataStart = aligned(head.length);
  const file = new Uint8Array(dataStart + offset);
  file.set(head.take());
  let at = dataStart;
  for (const { bytes } of tensors) {
    file.set(bytes, at);
    at += aligned(bytes.length);
  }
  return file;
}

/** A tensor of `values`, rounded to `type`. @throws RangeError when shape and values disagree, or Q8_0 rows do not fit */
export function tensor(name: string, shape: number[], values: Float32Array, type: TensorType): GgufTensor {
  if (shape.reduce((product, size) => product * size, 1) !== values.length)
    throw new RangeError(`${name}: ${values.length} values do not fill ${shape.join("×")}`);
  if (type === "Q8_0" && shape[0]! % Q8_BLOCK !== 0)
    throw new RangeError(`${name}: rows of ${shape[0]} are not a multiple of ${Q8_BLOCK}`);
  return { name, shape, type, bytes: ENCODE[type](values) };
}

const ENCODE: Record<TensorType, (values: Float32Array) => Uint8Array> = {
  F32: (values) => new Uint8Array(values.slice().buffer),
  F16: (values) => new Uint8Array(Float16Array.from(values).buffer),
  Q8_0: encodeQ8,
};

/** Blocks of 32: a half-precision scale, then 32 signed bytes; the largest magnitude of a block becomes ±127. */
function encodeQ8(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / Q8_BLOCK) * (2 + Q8_BLOCK));
  const view = new DataView(bytes.buffer);
  for (let from = 0, at = 0; from < values.length; from += Q8_BLOCK, at += 2 + Q8_BLOCK) {
    let largest = 0;
    for (let i = 0; i < Q8_BLOCK; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
    const scale = largest / 127;
    view.setFloat16(at, scale, true);
    for (let i = 0; i < Q8_BLOCK; i++)
      view.setInt8(at + 2 + i, scale === 0 ? 0 : Math.round(values[from + i]! / scale));
  }
  return bytes;
}

function writeValue(out: Writer, value: GgufValue): void {
  if (typeof value === "string") {
    out.u32(VALUE_TYPE.string);
    out.string(value);
  } else if (typeof value === "boolean") {
    out.u32(VALUE_TYPE.bool);
    out.bytes(Uint8Array.of(value ? 1 : 0));
  } else if ("u32" in value) {
    out.u32(VALUE_TYPE.u32);
    out.u32(value.u32);
  } else if ("f32" in value) {
    out.u32(VALUE_TYPE.f32);
    out.f32(value.f32);
  } else if ("strings" in value) {
    out.u32(VALUE_TYPE.array);
    out.u32(VALUE_TYPE.string);
    out.u64(value.strings.length);
    for (const text of value.strings) out.string(text);
  } else if ("f32s" in value) {
    out.u32(VALUE_TYPE.array);
    out.u32(VALUE_TYPE.f32);
    out.u64(value.f32s.length);
    for (const number of value.f32s) out.f32(number);
  } else {
    out.u32(VALUE_TYPE.array);
    out.u32(VALUE_TYPE.i32);
    out.u64(value.i32s.length);
    for (const number of value.i32s) out.u32(number >>> 0);
  }
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

/** Little-endian bytes, growing. */
class Writer {
  length = 0;
  #view = new DataView(new ArrayBuffer(1024));

  bytes(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }
  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }
  u64(value: number): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }
  f32(value: number): void {
    const at = this.#grow(4);
    this.#view.setFloat32(at, value, true);
  }
  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }
  take(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.length);
  }

  /** Makes room for `count` bytes and returns where they go. */
  #grow(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#view.byteLength) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.#view.byteLength));
      larger.set(new Uint8Array(this.#view.buffer));
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
