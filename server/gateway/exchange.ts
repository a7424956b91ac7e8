// One request and its answer on the way through the gateway: what every endpoint is given, and the header fields that
// every answer carries.

import { newId } from "@oxbow/contract";
import type { Caller } from "../accounts/accounts.ts";
import type { Model } from "../config.ts";
import type { RequestRecord } from "../metrics/metrics.ts";
import type { Trace } from "../traces/traces.ts";
import type { Copy } from "../traffic/traffic.ts";
import type { Hold } from "./holds.ts";
import type { Rooms } from "./rooms.ts";

export interface Exchange {
  request: Request;
  /** `req_…`, sent back as `x-request-id` and written to every log line about this request. */
  id: string;
  startedMs: number;
  /** Path without query and without a slash at its end. */
  path: string;
  rooms: Rooms;
  /** Who asks, once that is known. */
  caller: Caller | null;
  /** Memory of its body; null until it is known whose. */
  hold: Hold | null;
  /** What metrics and the log will be told of it. */
  record: RequestRecord;
  /** What answers in place of the model that was asked for; null: that model does. */
  served: Model | null;
  /** `engine:ID` or `tag:TAG`: the engines that are to answer; undefined: any of the model's. */
  within: string | undefined;
  /** The call has reached an engine that makes its answers up, and its errors too. */
  simulated: boolean;
  /** Who is told of the answer besides the caller; null: nobody. */
  copy: Copy | null;
  /** null: it is not traced. */
  trace: Trace | null;
  /** The answer has ended, and its last bytes are being sent. Safe to call twice. */
  onEnd: () => void;
}

/**
 * Who asks. From here on every answer tells what is left of the plan.
 * @throws ApiError `missing_api_key`, `invalid_api_key`
 */
export function identify(exchange: Exchange): Caller {
  exchange.caller = exchange.rooms.accounts.identify(exchange.request.headers);
  exchange.hold = exchange.rooms.holds.open(exchange.caller.accountId);
  return exchange.caller;
}

export function createExchange(request: Request, path: string, rooms: Rooms): Exchange {
  const id = newId("req_");
  return {
    request,
    id,
    startedMs: performance.now(),
    path,
    rooms,
    record: createRecord(id, request),
    caller: null,
    hold: null,
    served: null,
    within: undefined,
    simulated: false,
    copy: null,
    trace: null,
    onEnd: () => {},
  };
}

/** Nothing is known yet; what is left at the end says so. */
function createRecord(id: string, request: Request): RequestRecord {
  return {
    id,
    method: request.method,
    endpoint: "other",
    accountId: null,
    keyId: null,
    plan: "",
    model: "",
    servedModel: "",
    side: "",
    priority: "",
    engine: "",
    stream: false,
    status: 0,
    code: "",
    outcome: "",
    units: 0,
    waitedMs: null,
    firstTokenMs: null,
    durationMs: 0,
    tokensIn: 0,
    tokensOut: 0,
    retries: 0,
    clientRetry: Number(request.headers.get("x-stainless-retry-count")) > 0,
    dropped: NOTHING,
  };
}

const NOTHING: readonly string[] = [];

/** The fields of every answer, with `more` on top. */
export function answerHeaders(exchange: Exchange, more: Record<string, string>): Record<string, string> {
  const headers: Record<string, string> = {
    "x-request-id": exchange.id,
    "openai-processing-ms": String(Math.round(performance.now() - exchange.startedMs)),
    "openai-version": "2020-10-01",
    "x-content-type-options": "nosniff",
  };
  // A stream is the only answer whose end is not known yet: it says what it will count instead.
  if (more["x-oxbow-units"] === undefined) headers["x-oxbow-counted"] = "0";
  if (exchange.caller) Object.assign(headers, exchange.rooms.admission.headers(exchange.caller));
  if (exchange.simulated) headers["x-oxbow-simulated"] = "true";
  Object.assign(headers, more);
  if (exchange.request.headers.has("origin")) {
    // Keys travel in a header, never in a cookie, so a page of any origin can only use a key it was given.
    headers["access-control-allow-origin"] = "*";
    headers["access-control-expose-headers"] = EXPOSED;
  }
  return headers;
}

const EXPOSED = [
  "x-request-id",
  "openai-processing-ms",
  "openai-version",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "x-oxbow-simulated",
  "x-oxbow-counted",
  "x-oxbow-units",
  "x-oxbow-max-tokens-clamped",
  "idempotent-replayed",
  "x-oxbow-answer-kept",
  "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-reset-requests",
  "x-ratelimit-limit-requests-day",
  "x-ratelimit-remaining-requests-day",
  "x-ratelimit-reset-requests-day",
].join(", ");

export function sendJson(exchange: Exchange, body: unknown, status = 200, more: Record<string, string> = {}): Response {
  const headers = answerHeaders(exchange, { "content-type": "application/json", ...more });
  return new Response(JSON.stringify(body), { status, headers });
}
