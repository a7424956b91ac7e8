// What of the caller's body goes on to the engine: all of it, as it came, but for the model's name, private fields, images,
// and a length beyond the plan's.

import type { Model } from "../config.ts";
import type { RequestRecord } from "../metrics/metrics.ts";

/**
 * Fields by which engines and routers let a caller jump the line or reach inside. Ours to send, never a client's, whatever
 * the engine; what only one kind knows is in its row of data/engines.yaml.
 * Source: the request parameters of the engines' own servers and routers, read 2026-11-21.
 */
export const PRIVATE_FIELDS = ["priority", "nvext", "kv_transfer_params", "cache_salt"];

/**
 * The bytes to send: the caller's own unless something in them must change.
 * @param instead fields to set in place of the caller's: what the plan allows, images in their safe form
 */
export function bytesFor(
  model: Model,
  body: Record<string, unknown>,
  bytes: Uint8Array,
  instead: Record<string, unknown> | null = null,
): Uint8Array {
  const hidden = PRIVATE_FIELDS.filter((name) => name in body);
  if (body.model === model.id && hidden.length === 0 && instead === null) return bytes;
  const sent: Record<string, unknown> = { ...body, model: model.id, ...instead };
  for (const name of hidden) delete sent[name];
  return new TextEncoder().encode(JSON.stringify(sent));
}

/** Notes which of these fields the body has: they are not sent on. */
export function noteDropped(record: RequestRecord, body: Record<string, unknown>, names: readonly string[]): void {
  for (const name of names) {
    if (body[name] === undefined || record.dropped.includes(name)) continue;
    record.dropped = [...record.dropped, name];
  }
}
