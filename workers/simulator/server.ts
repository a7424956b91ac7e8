// The worker's HTTP: which endpoint, which model, and every error as the contract's envelope.

import {
  ApiError,
  bodyOfForm,
  COUNT_PATH,
  errorBody,
  type Form,
  ImageEditRequest,
  modelNotFound,
  newId,
  parseJsonObject,
  readWrittenForm,
  retryHeaders,
  USAGE_FIELD,
  unknownUrl,
  type WorkerConfig,
  type WorkerHealth,
  type WorkerModel,
} from "@oxbow/contract";
import type { TSchema } from "typebox";
import type { Ask } from "./ask.ts";
import { chat } from "./chat.ts";
import { dressedChat, dressedError, dressedTranscript } from "./clothes.ts";
import { completions } from "./completions.ts";
import { count } from "./count.ts";
import { detections } from "./detections.ts";
import { engineRoutes } from "./dress.ts";
import { embeddings } from "./embeddings.ts";
import { createEngine } from "./engine.ts";
import { errorOfFault, FAULT_MODELS, type Simulation, simulationOf, simulationOfAll } from "./faults.ts";
import { hear } from "./hear.ts";
import { json, type Route } from "./http.ts";
import { imageEdits, imageGenerations } from "./images.ts";
import { readOptions, type SimulatorOptions } from "./options.ts";
import { wait } from "./pace.ts";
import { speak } from "./speak.ts";

export type Handler = (request: Request) => Promise<Response>;

/** @throws Error naming a bad option */
export function createSimulator(config: WorkerConfig): Handler {
  const options = readOptions(config.options);
  const engine = createEngine(config, options);
  const models = new Map<string, WorkerModel>(FAULT_MODELS.map((id) => [id, faultModel(id)]));
  for (const model of config.models) for (const id of [...model.aliases, model.id]) models.set(id, model);

  /** What calls get that ask for nothing themselves: an engine can be made to fail while it runs. */
  let ofAll: Simulation = {};

  const routes: Record<string, Route> = {
    "GET /health": () => json({ state: "warm", progress: 1 } satisfies WorkerHealth),
    "GET /metrics": () => new Response(engine.metrics(), { headers: { "content-type": "text/plain; version=0.0.4" } }),
    "GET /v1/models": () => json({ object: "list", data: [...new Set(models.values())].map(modelObject) }),
    "POST /v1/chat/completions": async (request) => dressedChat(options.dress, await answer(request, chat)),
    "POST /v1/completions": (request) => answer(request, completions),
    "POST /v1/images/detections": (request) => answer(request, detections),
    "POST /v1/images/generations": (request) => answer(request, imageGenerations),
    "POST /v1/images/edits": (request) => answerForm(request, ImageEditRequest, imageEdits),
    "POST /v1/embeddings": (request) => answer(request, embeddings),
    "POST /v1/audio/speech": (request) => answer(request, speak),
    "POST /v1/audio/transcriptions": listen,
    "POST /v1/audio/translations": listen,
    [`POST ${COUNT_PATH}`]: count,
    "POST /simulate": async (request) => {
      ofAll = simulationOfAll(await request.bytes());
      return json(ofAll);
    },
    ...engineRoutes(options.dress, engine, (id) => findModel(models, id)),
  };

  async function answer(request: Request, endpoint: (ask: Ask) => Promise<Response>): Promise<Response> {
    return answerBody(request, parseJsonObject(await request.bytes()), endpoint);
  }

  async function answerForm(
    request: Request,
    schema: TSchema,
    endpoint: (ask: Ask, form: Form) => Promise<Response>,
  ): Promise<Response> {
    const form = await readWrittenForm(request);
    return answerBody(request, bodyOfForm(form, schema), (ask) => endpoint(ask, form));
  }

  async function answerBody(
    request: Request,
    body: Record<string, unknown>,
    endpoint: (ask: Ask) => Promise<Response>,
  ): Promise<Response> {
    const simulation = simulationOf(body, request.headers, ofAll);
    const failure = await failureOf(simulation, request.signal);
    if (failure) return failure;
    // What the field holds when it is no string is for the endpoint's own check of types.
    const model = typeof body.model === "string" ? findModel(models, body.model) : faultModel("");
    return endpoint({
      body,
      model,
      engine,
      simulation,
      wantsUsage: request.headers.has(USAGE_FIELD),
      signal: request.signal,
    });
  }

  async function listen(request: Request): Promise<Response> {
    const form = await readWrittenForm(request);
    const name = form.fields.get("model")?.[0] ?? "";
    const asked = { model: name, x_simulate: form.fields.get("x_simulate")?.[0] };
    const simulation = simulationOf(asked, request.headers, ofAll);
    const failure = await failureOf(simulation, request.signal);
    if (failure) return failure;
    const { pathname: path } = new URL(request.url);
    const answer = await hear({
      form,
      path,
      model: findModel(models, name),
      engine,
      simulation,
      signal: request.signal,
    });
    return dressedTranscript(options.dress, answer, name);
  }

  return async (request) => {
    let response: Response;
    try {
      response = await routeOf(routes, request)(request);
    } catch (error) {
      response = errorResponse(error, request.signal, options.dress);
    }
    response.headers.set("x-request-id", newId("req_"));
    response.headers.set("x-oxbow-simulated", "true");
    return response;
  };
}

/** A fault that leaves nothing of the answer; late, when that was asked for. @throws ApiError for one that is an error */
async function failureOf({ fault, headersMs = 0 }: Simulation, signal: AbortSignal): Promise<Response | null> {
  if (headersMs > 0) await wait(headersMs, signal);
  if (fault?.kind === "error") throw errorOfFault(fault);
  if (fault?.kind !== "html") return null;
  return new Response(PAGE, { status: 502, headers: { "content-type": "text/html" } });
}

const PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n";

function faultModel(id: string): WorkerModel {
  const capabilities = ["tools", "vision", "structured_outputs"];
  return { id, aliases: [], category: "chat", capabilities, contextTokens: 131_072 };
}

function modelObject(model: WorkerModel): object {
  return { id: model.id, object: "model", created: CREATED, owned_by: "simulator" };
}

/** The day this simulator was written: models need some date of birth, and the same one every time. */
const CREATED = Date.UTC(2026, 10, 21) / 1000;

function findModel(models: ReadonlyMap<string, WorkerModel>, id: string): WorkerModel {
  const model = models.get(id);
  if (!model) throw modelNotFound(id);
  return model;
}

function routeOf(routes: Record<string, Route>, request: Request): Route {
  const path = new URL(request.url).pathname.replace(/(?<=.)\/+$/, "");
  const route = routes[`${request.method} ${path}`];
  if (route) return route;
  const methods = Object.keys(routes).flatMap((key) => (key.endsWith(` ${path}`) ? key.split(" ")[0]! : []));
  if (methods.length === 0) throw unknownUrl(request.method, path);
  throw new ApiError("method_not_supported", `Not allowed to ${request.method} on ${path}.`, {
    headers: { allow: methods.join(", ") },
  });
}

function errorResponse(error: unknown, signal: AbortSignal, dress: SimulatorOptions["dress"]): Response {
  // Nobody is there to read it; the status is the one that proxies log for a caller who hung up.
  if (signal.aborted) return new Response(null, { status: 499 });
  if (!(error instanceof ApiError)) console.error("simulator: unexpected error:", error);
  const known =
    error instanceof ApiError ? error : new ApiError("internal_error", "The simulator failed.", { cause: error });
  const headers = { "content-type": "application/json", ...retryHeaders(known) };
  return new Response(JSON.stringify(dressedError(dress, known) ?? errorBody(known)), {
    status: known.kind.status,
    headers,
  });
}
