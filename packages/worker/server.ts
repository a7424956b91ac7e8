// The HTTP side of a worker: finds the route, and answers from the first moment on, also while the model is being loaded.

import {
  ApiError,
  COUNT_FIELD,
  COUNT_PATH,
  type PromptCount,
  parseJsonObject,
  unknownUrl,
  type WorkerHealth,
  type WorkerModel,
} from "@oxbow/contract";
import { errorOf, errorResponse, type Log } from "./errors.ts";
import { createMetrics, type Sample } from "./metrics.ts";

/**
 * Answers one call. Errors that the caller is to see are thrown as ApiError; anything else becomes an `internal_error`.
 * `request.signal` fires when the caller is gone.
 */
export type Route = (request: Request) => Promise<Response>;

/** What a loaded model answers. */
export interface Served {
  /** By path: always POST. */
  routes: Record<string, Route>;
  /** Exact tokens of the prompts of such calls, by path. */
  counts?: Record<string, (body: Record<string, unknown>) => number | Promise<number>>;
  /** Added to the metrics of the worker. */
  samples?(): Sample[];
  /** Tokens of prompt and answer together that a request really has; absent: those of the catalogue. */
  contextTokens?: number;
}

export interface ServerOptions {
  /** Path of the unix socket, which is free. */
  socket: string;
  model: WorkerModel;
  /** Names of metrics begin with it: `oxbow_<program>_`. */
  program: string;
  log: Log;
}

export interface WorkerServer {
  /** 0 to 1, while the model is being loaded. */
  progress(value: number): void;
  /** From here on calls are answered. */
  open(served: Served): void;
  /** Refuses new calls; resolves when the running ones have ended. */
  drain(): Promise<void>;
}

/** The gateway's bound is lower: this one only keeps nonsense out of memory. */
const BODY_BYTES_MAX = 256 << 20;

export function serve({ socket, model, program, log }: ServerOptions): WorkerServer {
  let served: Served | null = null;
  let progress = 0;
  let draining = false;
  const metrics = createMetrics(program);
  const startedAt = Math.floor(Date.now() / 1000);

  async function answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    if (request.method === "POST") return call(request, path);
    if (request.method !== "GET") return errorResponse(unknownUrl(request.method, path));
    switch (path) {
      case "/health":
        return Response.json(health());
      case "/metrics":
        return new Response(metrics.render(served?.samples?.() ?? []), { headers: { "content-type": METRICS_TYPE } });
      case "/v1/models":
        return Response.json({ object: "list", data: [modelObject()] });
      default:
        return errorResponse(unknownUrl("GET", path));
    }
  }

  function health(): WorkerHealth {
    if (!served) return { state: "loading", progress };
    const { contextTokens } = served;
    return { state: "warm", progress: 1, ...(contextTokens !== undefined && { contextTokens }) };
  }

  function modelObject() {
    const { id, capabilities, aliases } = model;
    const context_window = served?.contextTokens ?? model.contextTokens;
    const { state } = health();
    return { id, object: "model", created: startedAt, owned_by: "oxbow", context_window, capabilities, aliases, state };
  }

  async function call(request: Request, path: string): Promise<Response> {
    const known = path === COUNT_PATH || (served !== null && Object.hasOwn(served.routes, path));
    const label = known ? path : "other";
    metrics.begin();
    try {
      const response = await routeOf(path)(request);
      metrics.end(label, "ok");
      return response;
    } catch (thrown) {
      if (request.signal.aborted) {
        metrics.end(label, "aborted");
        return new Response(null, { status: 499 });
      }
      const error = errorOf(thrown, log);
      metrics.end(label, error.kind.status < 500 ? "refused" : "failed");
      return errorResponse(error);
    }
  }

  /** @throws ApiError `shutting_down`, `model_not_ready`, `unknown_url`; `unsupported_value` for what other models answer */
  function routeOf(path: string): Route {
    if (draining) throw new ApiError("shutting_down", "The worker is shutting down. Please try again.");
    if (!served) {
      const text = "The model is being loaded. Please try again in 1s.";
      throw new ApiError("model_not_ready", text, { retryAfterMs: 1000 });
    }
    const { routes, counts = {} } = served;
    if (path === COUNT_PATH) return (request) => count(request, counts);
    const found = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (found) return found;
    if (!path.startsWith("/v1/")) throw unknownUrl("POST", path);
    const text = `Unsupported value: 'model'. \`${model.id}\` does not answer calls to ${path.slice(0, 64)}.`;
    throw new ApiError("unsupported_value", text, { param: "model" });
  }

  const server = Bun.serve({
    unix: socket,
    ...NEVER_IDLE,
    development: false,
    maxRequestBodySize: BODY_BYTES_MAX,
    fetch: answer,
    error: (thrown) => errorResponse(errorOf(thrown, log)),
  });

  return {
    progress: (value) => {
      progress = value;
    },
    open: (opened) => {
      served = opened;
    },
    async drain() {
      draining = true;
      await server.stop();
    },
  };
}

async function count(request: Request, counts: NonNullable<Served["counts"]>): Promise<Response> {
  const path = request.headers.get(COUNT_FIELD) ?? "";
  const counting = Object.hasOwn(counts, path) ? counts[path] : undefined;
  if (!counting) throw new ApiError("unknown_url", `No prompts of ${path.slice(0, 128)} are counted here.`);
  const tokens = await counting(parseJsonObject(await request.bytes()));
  return Response.json({ prompt_tokens: tokens } satisfies PromptCount);
}

/**
 * A quiet stream is no dead one: the gateway decides how long is too long. The types of Bun 1.4 deny this option to unix
 * sockets, but the server obeys it there, and without it cuts what is silent for ten seconds.
 */
const NEVER_IDLE: object = { idleTimeout: 0 };
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
