// Notes what is to be known of a request once it has ended, and hands it out then, once: to metrics and to the log.

import { ApiError, type RelayedError } from "@oxbow/contract";
import type { RequestRecord } from "../metrics/metrics.ts";
import type { Attributes } from "../traces/traces.ts";
import type { Exchange } from "./exchange.ts";

/** Only the row: what an engine calls its errors is nothing that one could count by. */
export function noteError({ record }: Exchange, error: ApiError | RelayedError): void {
  record.code = error instanceof ApiError ? error.row : "engine_error";
}

/** The request has ended: nothing more is sent. Safe to call twice. @param status what was sent */
export function conclude(exchange: Exchange, status: number): void {
  const { record, rooms, caller, startedMs } = exchange;
  if (record.status !== 0) return;
  record.status = status;
  record.durationMs = performance.now() - startedMs;
  if (caller !== null) {
    record.accountId = caller.accountId;
    record.keyId = caller.keyId;
    record.plan = `${caller.plan.id}@${caller.plan.version}`;
  }
  rooms.observe(record);
  exchange.copy?.end(record);
  exchange.trace?.end(`${record.method} ${record.endpoint}`, attributesOf(record), record.code);
}

/** Under OpenTelemetry's names where there are any: semantic conventions for HTTP and for generative AI, read 2026-11-21. */
function attributesOf(record: RequestRecord): Attributes {
  return {
    "http.request.method": record.method,
    "http.route": record.endpoint,
    "http.response.status_code": record.status,
    "oxbow.request_id": record.id,
    "oxbow.units": record.units,
    ...(record.code !== "" && { "error.type": record.code }),
    ...(record.plan !== "" && { "oxbow.plan": record.plan }),
    ...(record.model !== "" && {
      "gen_ai.request.model": record.model,
      "gen_ai.response.model": record.servedModel || record.model,
      "gen_ai.usage.input_tokens": record.tokensIn,
      "gen_ai.usage.output_tokens": record.tokensOut,
    }),
    ...(record.waitedMs !== null && {
      "oxbow.class": record.priority,
      "oxbow.engine": record.engine,
      "oxbow.queue_ms": record.waitedMs,
    }),
    ...(record.firstTokenMs !== null && { "oxbow.first_token_ms": record.firstTokenMs }),
    ...(record.outcome !== "" && { "oxbow.outcome": record.outcome }),
  };
}
