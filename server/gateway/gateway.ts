// HTTP in and out: finds the endpoint for method and path, gives the request its id, and turns whatever is thrown into an
// answer. A function from `Request` to `Response`, so that it can be tested without a port.

import { ApiError, unknownUrl } from "@oxbow/contract";
import type { Model } from "../config.ts";
import { discardBody } from "./body.ts";
import { createCatalogue } from "./catalogue.ts";
import { chat } from "./endpoints/chat.ts";
import { completions } from "./endpoints/completions.ts";
import { detections } from "./endpoints/detections.ts";
import { embeddings } from "./endpoints/embeddings.ts";
import { engines } from "./endpoints/engines.ts";
import { blob, imageEdits, imageGenerations, imageVariations } from "./endpoints/images.ts";
import { metrics } from "./endpoints/metrics.ts";
import { getModel, listModels } from "./endpoints/models.ts";
import { queue } from "./endpoints/queue.ts";
import { responses, storedResponse } from "./endpoints/responses.ts";
import { speech } from "./endpoints/speech.ts";
import { health, ready } from "./endpoints/status.ts";
import { transcriptions, translations } from "./endpoints/transcriptions.ts";
import { usage } from "./endpoints/usage.ts";
import { sendError } from "./errors.ts";
import { answerHeaders, createExchange, type Exchange } from "./exchange.ts";
import { createHolds, holdsFor } from "./holds.ts";
import { createKeepOpen, type Lift } from "./keep-open.ts";
import { createPulse } from "./pulse.ts";
import { conclude } from "./record.ts";
import type { Rooms } from "./rooms.ts";

export { createRetryBudget } from "./failover.ts";

type Endpoint = (exchange: Exchange) => Response | Promise<Response>;

/** Every path there is, and what answers it by method. A `*` at the end stands for one or more characters. */
const ENDPOINTS: Record<string, Record<string, Endpoint>> = {
  "/v1/chat/completions": { POST: chat },
  "/v1/completions": { POST: completions },
  "/v1/embeddings": { POST: embeddings },
  "/v1/responses": { POST: responses },
  "/v1/responses/*": { GET: storedResponse, DELETE: storedResponse, POST: storedResponse },
  "/v1/images/detections": { POST: detections },
  "/v1/audio/transcriptions": { POST: transcriptions },
  "/v1/audio/translations": { POST: translations },
  "/v1/audio/speech": { POST: speech },
  "/v1/images/generations": { POST: imageGenerations },
  "/v1/images/edits": { POST: imageEdits },
  "/v1/images/variations": { POST: imageVariations },
  "/v1/blobs/*": { GET: blob },
  "/v1/models": { GET: listModels },
  "/v1/models/*": { GET: getModel },
  "/v1/queue": { GET: queue },
  "/v1/engines": { GET: engines },
  "/v1/usage": { GET: usage },
  "/metrics": { GET: metrics },
  "/health": { GET: health },
  "/ready": { GET: ready },
};

const WITH_REST = Object.keys(ENDPOINTS).filter((path) => path.endsWith("*"));

export interface GatewayOptions extends Omit<Rooms, "catalogue" | "pulse" | "waits" | "running" | "holds" | "stopped"> {
  models: readonly Model[];
  /** Free when the server started. */
  memoryBytes: number;
}

export function createGateway({ models, memoryBytes, ...given }: GatewayOptions) {
  let stopped = false;
  const pulse = createPulse();
  const keepOpen = createKeepOpen();
  const holds = createHolds({ ...holdsFor(given.limits, memoryBytes), random: Math.random });
  const rooms: Rooms = {
    ...given,
    catalogue: createCatalogue(models),
    pulse,
    waits: createPulse(WAITS_TICK_MS),
    running: new Map(),
    holds,
    stopped: () => stopped,
  };
  return {
    /** @param lift lifts the server's idle time-out while this request lasts: our own deadlines hold then */
    async handle(request: Request, lift: Lift): Promise<Response> {
      const exchange = createExchange(request, pathOf(request.url), rooms);
      keepOpen.add(lift);
      exchange.onEnd = () => keepOpen.remove(lift);
      exchange.trace = rooms.traces.begin(request.headers);
      let response: Response;
      try {
        response = await answer(exchange);
      } catch (error) {
        await discardBody(exchange);
        response = sendError(exchange, error);
      }
      // A stream goes on, and says itself when it has ended.
      const { record } = exchange;
      if (!record.stream) {
        conclude(exchange, response.status);
        exchange.hold?.release();
        exchange.onEnd();
      }
      return record.method === "HEAD" ? withoutBody(response) : response;
    },
    /** Streams that are being sent. */
    streams: () => pulse.size(),
    /** Bytes that bodies take. */
    bodyBytes: holds.held,
    /** Ends what runs by itself, and tells those whose calls have lasted until now that they are cut off. */
    stop: () => {
      stopped = true;
      rooms.pulse.stop();
      rooms.waits.stop();
      keepOpen.stop();
    },
  };
}

function answer(exchange: Exchange): Response | Promise<Response> {
  return exchange.record.method === "OPTIONS" ? preflight(exchange) : find(exchange)(exchange);
}

/** Whoever waits for an engine may be told that it is late by so much. */
const WAITS_TICK_MS = 100;

/** Without query, and without the slash that some clients leave at the end. */
function pathOf(url: string): string {
  // A client of HTTP/1.0 may send no host, and the URL is then the path alone.
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("//") + 2);
  if (start < 0) return "/";
  const query = url.indexOf("?", start);
  const path = query < 0 ? url.slice(start) : url.slice(start, query);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

/** @throws ApiError `unknown_url`, `method_not_supported` */
function find({ path, record }: Exchange): Endpoint {
  const { method } = record;
  const name = nameOf(path);
  const methods = name === undefined ? undefined : ENDPOINTS[name];
  if (name !== undefined) record.endpoint = name;
  if (!methods) throw unknownUrl(method, path);
  const endpoint = methods[method === "HEAD" ? "GET" : method];
  if (endpoint) return endpoint;
  const text = `Not allowed to ${method} on ${path.slice(0, 200)}. (HINT: Perhaps you meant to use a different HTTP method?)`;
  throw new ApiError("method_not_supported", text, { headers: { allow: allowed(methods) } });
}

/** The path as the table has it. */
function nameOf(path: string): string | undefined {
  return Object.hasOwn(ENDPOINTS, path) ? path : WITH_REST.find((each) => fits(path, each));
}

function fits(path: string, withRest: string): boolean {
  return path.startsWith(withRest.slice(0, -1)) && path.length >= withRest.length;
}

function allowed(methods: Record<string, Endpoint>): string {
  return [...Object.keys(methods), ...("GET" in methods ? ["HEAD"] : []), "OPTIONS"].join(", ");
}

/** What a browser asks before it sends a key across origins. */
function preflight(exchange: Exchange): Response {
  const name = nameOf(exchange.path);
  const methods = name === undefined ? undefined : ENDPOINTS[name];
  const asked = exchange.request.headers.get("access-control-request-headers");
  const headers = answerHeaders(exchange, {
    "access-control-allow-methods": methods ? allowed(methods) : "GET, HEAD, POST, OPTIONS",
    "access-control-allow-headers": asked ?? "authorization, content-type",
    "access-control-max-age": "86400",
    ...(methods ? { allow: allowed(methods) } : {}),
  });
  return new Response(null, { status: 204, headers });
}

/** The header fields that the same call with GET would get, its length too. */
async function withoutBody(response: Response): Promise<Response> {
  const { status, headers } = response;
  // A file is not read for it: who sends one has said how long it is.
  if (headers.has("content-length")) void response.body?.cancel();
  else headers.set("content-length", String((await response.bytes()).length));
  return new Response(null, { status, headers });
}
