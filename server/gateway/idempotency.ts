// Idempotency-Key: the same call again gets the answer of the first one. Who runs is known here, what was answered in the
// ledger, in the same commit as the settlement: so no crash can lose the one and keep the other.

import { ApiError, SSE_HEADERS } from "@oxbow/contract";
import type { StoredAnswer } from "../ledger/ledger.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";

/** The right to run a call under its key, until it is freed. */
export interface Claim {
  key: string;
  bodyHash: string;
  /** The call has ended: from now on the ledger knows. Safe to call twice. */
  free(): void;
}

/** Bytes of a stream that is kept for a repeat: it is in memory while it is sent. */
export const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/** Of a whole answer, which is in memory anyway, before and after it is packed: 2,048 vectors of numbers are 45 MB and 18. */
const WHOLE_BYTES_MAX = 128 * 1024 * 1024;
const PACKED_BYTES_MAX = 32 * 1024 * 1024;
/** Smaller ones are kept as they are. */
const PACK_BYTES_MIN = 1024 * 1024;
/** Before the content type of one that is packed. */
const PACKED = "zstd:";

/** A whole answer as it is kept; null: it is too large. */
export async function keptOf(contentType: string, bytes: Uint8Array): Promise<StoredAnswer | null> {
  if (bytes.length < PACK_BYTES_MIN) return { status: 200, contentType, bytes };
  if (bytes.length > WHOLE_BYTES_MAX) return null;
  const packed = await Bun.zstdCompress(bytes as Uint8Array<ArrayBuffer>, { level: 1 });
  return packed.length > PACKED_BYTES_MAX ? null : { status: 200, contentType: PACKED + contentType, bytes: packed };
}

async function unpacked(answer: StoredAnswer): Promise<StoredAnswer> {
  if (!answer.contentType.startsWith(PACKED)) return answer;
  const bytes = await Bun.zstdDecompress(answer.bytes as Uint8Array<ArrayBuffer>);
  return { ...answer, contentType: answer.contentType.slice(PACKED.length), bytes };
}

/**
 * Decides in this order:
 *  1. no key: nothing to do;
 *  2. a call with the key runs: refuse;
 *  3. one was answered: another body is refused, the same gets its answer again;
 *  4. run.
 *
 * @param body the caller's bytes, as they came
 * @returns null (1), the answer (3), or a claim (4), which must be freed
 * @throws ApiError `invalid_value`, `idempotency_in_flight`, `idempotency_key_reuse`, `idempotency_answer_not_kept`
 */
export function claimKey(exchange: Exchange, body: Uint8Array): Promise<Claim | StoredAnswer> | null {
  const key = exchange.request.headers.get("idempotency-key");
  if (key === null) return null; // 1
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    const text = "Invalid value for the header 'Idempotency-Key': expected 1 to 255 printable ASCII characters.";
    throw new ApiError("invalid_value", text, { param: "Idempotency-Key" });
  }
  return find(exchange, key, hashOf(exchange.path, body));
}

async function find(exchange: Exchange, key: string, bodyHash: string): Promise<Claim | StoredAnswer> {
  const { running, ledger } = exchange.rooms;
  const { accountId } = exchange.caller!;
  const name = `${accountId} ${key}`;
  const runs = running.get(name);
  if (runs !== undefined) throw runs === bodyHash ? inFlight() : reused(); // 2
  // Taken before anything is awaited, so that of two calls at the same moment one runs.
  running.set(name, bodyHash);
  const free = once(() => running.delete(name));
  try {
    const stored = await ledger.findAnswer(accountId, key);
    if (!stored?.answer) return { key, bodyHash, free }; // 4
    free();
    if (stored.bodyHash !== bodyHash) throw reused();
    if (stored.answer.status === 0) throw notKept();
    return await unpacked(stored.answer); // 3
  } catch (error) {
    free();
    throw error;
  }
}

export function isClaim(found: Claim | StoredAnswer): found is Claim {
  return "free" in found;
}

/** The stored answer, byte for byte, with header fields of its own time. */
export function replay(exchange: Exchange, answer: StoredAnswer, more: Record<string, string>): Response {
  const headers = answerHeaders(exchange, {
    ...more,
    ...(answer.contentType === SSE_HEADERS["content-type"] ? SSE_HEADERS : { "content-type": answer.contentType }),
    "idempotent-replayed": "true",
  });
  return new Response(answer.bytes as Uint8Array<ArrayBuffer>, { status: answer.status, headers });
}

function hashOf(path: string, body: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(path).update("\n").update(body).digest("hex");
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}

const IN_FLIGHT_RETRY_MS = 1_000;

function inFlight(): ApiError {
  const text = "A request with this Idempotency-Key is still running. Please try again in 1s.";
  return new ApiError("idempotency_in_flight", text, { retryAfterMs: IN_FLIGHT_RETRY_MS });
}

function reused(): ApiError {
  const text = "This Idempotency-Key was used with another path or body. Use a new key for a new request.";
  return new ApiError("idempotency_key_reuse", text);
}

function notKept(): ApiError {
  const text =
    "The request with this Idempotency-Key was answered and counted, but its answer was too large to be kept, so it cannot be sent again. To run it again, use a new key.";
  return new ApiError("idempotency_answer_not_kept", text);
}
