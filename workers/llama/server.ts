// The worker's HTTP side: finds the endpoint, and answers from the first moment on, also while the model is being loaded.

import {
  ApiError,
  COUNT_FIELD,
  COUNT_PATH,
  type PromptCount,
  parseJsonObject,
  type WorkerHealth,
  type WorkerModel,
} from "@oxbow/contract";
import { chat, countChat } from "./chat-endpoint.ts";
import { complete, countCompletion } from "./completion-endpoint.ts";
import type { Host } from "./host.ts";
import { errorOf, errorResponse } from "./http.ts";
import { createMetrics, type Endpoint } from "./metrics.ts";

/** The gateway's bound is lower: this one only keeps nonsense out of memory. */
const BODY_BYTES_MAX = 64 << 20;

export interface WorkerServer {
  /** 0 to 1, while the model is being loaded. */
  progress(value: number): void;
  /** From here on calls are answered. */
  open(host: Host): void;
  /** Refuses new calls; resolves when the running ones have ended. */
  drain(): Promise<void>;
}

/** @param socket path of the unix socket, which is free */
export function serve(socket: string, model: WorkerModel, log: (line: string) => void): WorkerServer {
  let host: Host | null = null;
  let progress = 0;
  let draining = false;
  const metrics = createMetrics();
  const startedAt = Math.floor(Date.now() / 1000);

  const endpoints: Record<string, { name: Endpoint; answer: typeof chat }> = {
    "/v1/chat/completions": { name: "chat", answer: chat },
    "/v1/completions": { name: "completions", answer: complete },
    [COUNT_PATH]: { name: "count", answer: count },
  };

  async function route(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    const endpoint = endpoints[path];
    if (request.method === "POST" && endpoint) return call(request, endpoint);
    if (request.method === "GET" && path === "/health") return Response.json(health());
    if (request.method === "GET" && path === "/metrics") {
      return new Response(metrics.render(host?.scheduler ?? null), { headers: { "content-type": METRICS_TYPE } });
    }
    if (request.method === "GET" && path === "/v1/models")
      return Response.json({ object: "list", data: [modelObject()] });
    return errorResponse(new ApiError("unknown_url", `Invalid URL (${request.method} ${path.slice(0, 128)})`));
  }

  function health(): WorkerHealth {
    return host
      ? { state: "warm", progress: 1, contextTokens: host.loaded.contextTokens }
      : { state: "loading", progress };
  }

  function modelObject() {
    return {
      id: model.id,
      object: "model",
      created: startedAt,
      owned_by: "oxbow",
      context_window: host?.loaded.contextTokens ?? model.contextTokens,
      capabilities: model.capabilities,
      aliases: model.aliases,
      state: health().state,
    };
  }

  async function call(request: Request, { name, answer }: (typeof endpoints)[string]): Promise<Response> {
    try {
      if (draining) throw new ApiError("shutting_down", "The worker is shutting down. Please try again.");
      if (!host) {
        throw new ApiError("model_not_ready", "The model is being loaded. Please try again in 1s.", {
          retryAfterMs: 1000,
        });
      }
      const body = parseJsonObject(new Uint8Array(await request.arrayBuffer()));
      const response = await answer(body, request, host);
      metrics.count(name, "ok");
      return response;
    } catch (thrown) {
      if (request.signal.aborted) {
        metrics.count(name, "aborted");
        return new Response(null, { status: 499 });
      }
      const error = errorOf(thrown, log);
      metrics.count(name, error.kind.status < 500 ? "refused" : "failed");
      return errorResponse(error);
    }
  }

  async function count(body: Record<string, unknown>, request: Request, host: Host): Promise<Response> {
    const path = request.headers.get(COUNT_FIELD) ?? "";
    const counting = Object.hasOwn(COUNTED, path) ? COUNTED[path] : undefined;
    if (!counting) throw new ApiError("unknown_url", `No prompts of ${path.slice(0, 128)} are counted here.`);
    return Response.json({ prompt_tokens: counting(body, host) } satisfies PromptCount);
  }

  const server = Bun.serve({
    unix: socket,
    ...NEVER_IDLE,
    maxRequestBodySize: BODY_BYTES_MAX,
    fetch: route,
    error: (thrown) => errorResponse(errorOf(thrown, log)),
  });

  return {
    progress: (value) => {
      progress = value;
    },
    open: (opened) => {
      host = opened;
    },
    async drain() {
      draining = true;
      await server.stop();
    },
  };
}

const COUNTED: Record<string, (body: Record<string, unknown>, host: Host) => number> = {
  "/v1/chat/completions": countChat,
  "/v1/completions": countCompletion,
};

/**
 * A quiet stream is no dead one: the gateway decides how long is too long. The types of Bun 1.4 deny this option to unix
 * sockets, but the server obeys it there, and without it cuts what is silent for ten seconds.
 */
const NEVER_IDLE: object = { idleTimeout: 0 };
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
