// The worker that hosts one GGUF model that sees. Protocol: packages/contract/worker.ts. A program of its own beside the
// one for text, because images need another library (docs/decisions/0007).

import {
  ApiError,
  COUNT_FIELD,
  COUNT_PATH,
  type PromptCount,
  parseJsonObject,
  type WorkerHealth,
} from "@oxbow/contract";
import { runWorker } from "@oxbow/worker";
import { errorOf, errorResponse } from "../http.ts";
import { chat, count, type SeeingHost } from "./chat.ts";
import { loadSeeing } from "./load.ts";
import { readSeeingOptions } from "./options.ts";
import { silenceNative } from "./quiet.ts";

const log = silenceNative();
const CHAT = "/v1/chat/completions";
/** The gateway's bound is lower: this one only keeps nonsense out of memory. */
const BODY_BYTES_MAX = 256 << 20;

let host: SeeingHost | null = null;
let running = 0;
let answered = 0;

async function route(request: Request): Promise<Response> {
  const path = new URL(request.url).pathname;
  if (request.method === "GET" && path === "/health") return Response.json(health());
  if (request.method === "GET" && path === "/metrics") return new Response(metrics(), { headers: METRICS });
  if (request.method === "GET" && path === "/v1/models")
    return Response.json({ object: "list", data: [modelObject()] });
  if (request.method === "POST" && (path === CHAT || path === COUNT_PATH)) return call(request, path);
  return errorResponse(new ApiError("unknown_url", `Invalid URL (${request.method} ${path.slice(0, 128)})`));
}

async function call(request: Request, path: string): Promise<Response> {
  running++;
  try {
    if (!host) throw new ApiError("model_not_ready", "The model is being loaded.", { retryAfterMs: 1_000 });
    const body = parseJsonObject(await request.bytes());
    if (path === CHAT) return await chat(body, request, host);
    if (request.headers.get(COUNT_FIELD) !== CHAT)
      throw new ApiError("unknown_url", "No such prompts are counted here.");
    return Response.json({ prompt_tokens: await count(body, host) } satisfies PromptCount);
  } catch (thrown) {
    if (request.signal.aborted) return new Response(null, { status: 499 });
    return errorResponse(errorOf(thrown, log));
  } finally {
    running--;
    answered++;
  }
}

function health(): WorkerHealth {
  return host ? { state: "warm", progress: 1 } : { state: "loading", progress: 0 };
}

const METRICS = { "content-type": "text/plain; version=0.0.4" };

function metrics(): string {
  return [
    "# TYPE oxbow_vision_requests_running gauge",
    `oxbow_vision_requests_running ${running}`,
    "# TYPE oxbow_vision_requests_total counter",
    `oxbow_vision_requests_total ${answered}`,
    "",
  ].join("\n");
}

const startedAt = Math.floor(Date.now() / 1000);

function modelObject(): object {
  return { id: host?.model.id ?? "", object: "model", created: startedAt, owned_by: "oxbow" };
}

runWorker({
  log,
  readOptions: readSeeingOptions,
  serve({ config }) {
    const server = Bun.serve<undefined>(
      Object.assign({ unix: config.socket, fetch: route, development: false, maxRequestBodySize: BODY_BYTES_MAX }, {
        idleTimeout: 0,
      } as object),
    );
    return { drain: () => server.stop() };
  },
  async load({ config, model, options }) {
    const { slots, threads } = config;
    const contextTokens = Math.min(model.contextTokens, options.contextTokens);
    const seeing = await loadSeeing({ file: model.file, slots, threads, ...options, contextTokens });
    host = { ...seeing, model, log };
  },
});
