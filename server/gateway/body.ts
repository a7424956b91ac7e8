// Reads a request body within its bounds: size, memory of all bodies together, pace, and kind of content. The memory is
// taken from the caller's hold before a byte is read; what he does not declare is taken as it arrives.

import { ApiError, parseJsonObject } from "@oxbow/contract";
import type { Exchange } from "./exchange.ts";

/** Up to this size one wait for the whole body is enough; larger ones must keep coming. */
const SMALL_BYTES = 65_536;

/**
 * @returns the bytes, as they are sent on, and what they say
 * @throws ApiError `unsupported_media_type`, `body_too_large`, `request_timeout`, `invalid_json`, and what a hold throws
 */
export async function readJson(exchange: Exchange): Promise<{ bytes: Uint8Array; body: Record<string, unknown> }> {
  const { request, rooms } = exchange;
  refuseOtherContent(request.headers.get("content-type"));
  const { bodyBytesMax, bodyIdleMsMax } = rooms.limits;
  const declared = declaredBytes(exchange, bodyBytesMax);
  let bytes: Uint8Array;
  if (declared <= SMALL_BYTES) {
    exchange.hold?.take(declared);
    const whole = request.bytes();
    // Most small bodies come with their head.
    const isHere = Bun.peek.status(whole) === "fulfilled";
    bytes = await (isHere ? whole : inTime(whole, bodyIdleMsMax, silent(bodyIdleMsMax)));
  } else bytes = await readWhole(exchange, declared, bodyBytesMax);
  return { bytes, body: parseJsonObject(bytes) };
}

/**
 * The body as it arrives.
 * @throws ApiError `body_too_large`, `request_timeout`, and what a hold throws
 */
export async function* bodyParts(exchange: Exchange, bytesMax: number): AsyncGenerator<Uint8Array, void, void> {
  const declared = declaredBytes(exchange, bytesMax);
  const isDeclared = !Number.isNaN(declared);
  if (isDeclared) exchange.hold?.take(declared);
  const { request, rooms } = exchange;
  const { bodyIdleMsMax, bodyBytesPerSecondMin } = rooms.limits;
  const startedMs = performance.now();
  const reader = request.body?.getReader();
  let size = 0;
  try {
    while (reader) {
      const lateMs = startedMs + bodyIdleMsMax + (1000 * size) / bodyBytesPerSecondMin - performance.now();
      const late = lateMs < bodyIdleMsMax ? tooSlow(bodyBytesPerSecondMin) : silent(bodyIdleMsMax);
      const { value, done } = await inTime(reader.read(), Math.min(lateMs, bodyIdleMsMax), late);
      if (done) break;
      size += value.length;
      if (size > bytesMax) throw tooLarge(size, bytesMax);
      if (!isDeclared) exchange.hold?.take(value.length);
      yield value;
    }
  } finally {
    reader?.releaseLock();
  }
}

/**
 * Reads what is left of a body that was refused, and keeps nothing of it: a caller who wants the connection closed would
 * otherwise have it cut while he still sends, and would see that instead of the answer.
 */
export async function discardBody({ request }: Exchange): Promise<void> {
  if (request.body === null || request.body.locked || !/\bclose\b/i.test(request.headers.get("connection") ?? ""))
    return;
  const reader = request.body.getReader();
  const until = performance.now() + DISCARD_MS_MAX;
  try {
    for (let size = 0; size < DISCARD_BYTES_MAX; ) {
      const { value, done } = await inTime(reader.read(), until - performance.now(), silent(DISCARD_MS_MAX));
      if (done) return;
      size += value.length;
    }
  } catch {} // he is slow or gone: then the cut is his
}

const DISCARD_MS_MAX = 5_000;
const DISCARD_BYTES_MAX = 134_217_728;

/** NaN when the client does not say. */
function declaredBytes({ request }: Exchange, bytesMax: number): number {
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > bytesMax) throw tooLarge(declared, bytesMax);
  return declared;
}

function refuseOtherContent(type: string | null): void {
  // A body without a declared type is taken for what it must be.
  if (type === null || type === "" || /^\s*application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) return;
  const shown = type.slice(0, 80);
  const text = `Unsupported Content-Type: '${shown}'. Send the body as JSON with 'Content-Type: application/json'.`;
  throw new ApiError("unsupported_media_type", text);
}

async function readWhole(exchange: Exchange, declared: number, bytesMax: number): Promise<Uint8Array> {
  // Written where it stays: pieces beside their sum would be twice as much.
  const whole = Number.isNaN(declared) ? null : new Uint8Array(declared);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of bodyParts(exchange, bytesMax)) {
    if (whole === null) parts.push(part);
    else whole.set(part, size);
    size += part.length;
  }
  return whole?.subarray(0, size) ?? Buffer.concat(parts);
}

function inTime<T>(pending: Promise<T>, msMax: number, late: () => ApiError): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), Math.max(0, msMax));
    pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function silent(msMax: number): () => ApiError {
  const text = `The request body did not arrive: nothing came for ${msMax / 1000} s.`;
  return () => new ApiError("request_timeout", text);
}

function tooSlow(bytesMin: number): () => ApiError {
  const text = `The request body did not arrive in time: it must come at ${bytesMin} bytes a second at least.`;
  return () => new ApiError("request_timeout", text);
}

function tooLarge(size: number, bytesMax: number): ApiError {
  return new ApiError("body_too_large", `Maximum content size limit (${bytesMax}) exceeded (${size} bytes read)`);
}
