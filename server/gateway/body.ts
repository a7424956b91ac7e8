// Reads a request body within its bounds: size, time without a byte, and kind of content.

import { ApiError, parseJsonObject } from "@oxbow/contract";
import type { Exchange } from "./exchange.ts";

/** Up to this size one wait for the whole body is enough; larger ones must keep coming. */
const SMALL_BYTES = 65_536;

/**
 * @returns the bytes, as they are sent on, and what they say
 * @throws ApiError `unsupported_media_type`, `body_too_large`, `request_timeout`, `invalid_json`
 */
export async function readJson(exchange: Exchange): Promise<{ bytes: Uint8Array; body: Record<string, unknown> }> {
  const { request, rooms } = exchange;
  refuseOtherContent(request.headers.get("content-type"));
  const { bodyBytesMax, bodyIdleMsMax } = rooms.limits;
  const declared = declaredBytes(exchange, bodyBytesMax);
  const bytes =
    declared <= SMALL_BYTES ? await inTime(request.bytes(), bodyIdleMsMax) : await readWhole(exchange, bodyBytesMax);
  return { bytes, body: parseJsonObject(bytes) };
}

/**
 * The body as it arrives.
 * @throws ApiError `body_too_large`, `request_timeout`
 */
export async function* bodyParts(exchange: Exchange, bytesMax: number): AsyncGenerator<Uint8Array, void, void> {
  declaredBytes(exchange, bytesMax);
  const { request, rooms } = exchange;
  const reader = request.body?.getReader();
  let size = 0;
  while (reader) {
    const { value, done } = await inTime(reader.read(), rooms.limits.bodyIdleMsMax);
    if (done) break;
    size += value.length;
    if (size > bytesMax) throw tooLarge(size, bytesMax);
    yield value;
  }
}

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

async function readWhole(exchange: Exchange, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of bodyParts(exchange, bytesMax)) parts.push(part);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function inTime<T>(pending: Promise<T>, msMax: number): Promise<T> {
  // A small body comes with its head, and needs no timer.
  if (Bun.peek.status(pending) === "fulfilled") return pending;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const text = `The request body did not arrive: nothing came for ${msMax / 1000} s.`;
      reject(new ApiError("request_timeout", text));
    }, msMax);
    pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function tooLarge(size: number, bytesMax: number): ApiError {
  return new ApiError("body_too_large", `Maximum content size limit (${bytesMax}) exceeded (${size} bytes read)`);
}
