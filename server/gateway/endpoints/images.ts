// POST /v1/images/generations and /v1/images/edits. The engine always answers with base64; what the caller asked for (a
// link, another format, events from an engine that knows none) is made of it here.

import {
  ApiError,
  canvasOf,
  type ImageRequest,
  type ImageTask,
  needsOfImage,
  parseImageEdit,
  parseImageGeneration,
} from "@oxbow/contract";
import type { Model } from "../../config.ts";
import type { Served } from "../../fleet/fleet.ts";
import { refuseLacking, refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import type { RelayCall } from "../call.ts";
import { modelOf } from "../catalogue.ts";
import { readEdit, takeEdit } from "../edit-images.ts";
import { answerHeaders, type Exchange, identify } from "../exchange.ts";
import { finishImages } from "../finish-images.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export async function imageGenerations(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { bytes, body } = await readJson(exchange);
  const { model, engine } = painterOf(exchange, body);
  const call = parseImageGeneration(body);
  refuseLacking(exchange, model, engine, needsOfImage("image_generation", call));
  const { asked, rest } = planOf(exchange, "image_generation", call, model, engine);
  return relayCall(exchange, {
    ...rest,
    path: "/v1/images/generations",
    received: bytes,
    body,
    prepare: async () => ({ instead: asked }),
  });
}

export async function imageEdits(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const edit = await readEdit(exchange);
  const { model, engine } = painterOf(exchange, edit.body);
  const call = parseImageEdit(edit.body);
  refuseLacking(exchange, model, engine, needsOfImage("image_edit", call));
  const { asked, rest } = planOf(exchange, "image_edit", call, model, engine);
  return relayCall(exchange, {
    ...rest,
    path: "/v1/images/edits",
    received: edit.received,
    body: edit.body,
    prepare: (signal) => takeEdit(exchange, edit, { ...asked, model: model.id }, signal),
  });
}

/** @throws ApiError `unknown_url`, always */
export function imageVariations(exchange: Exchange): never {
  identify(exchange);
  throw new ApiError("unknown_url", "Variations are not made here. Use POST /v1/images/edits with a prompt.");
}

/** GET /v1/blobs/…: an image by its link, which is all the permission it takes. */
export function blob(exchange: Exchange): Response {
  const { request, path, rooms } = exchange;
  const query = new URL(request.url, "http://here").searchParams;
  const found = rooms.media.blobs.open(path.slice(path.lastIndexOf("/") + 1), query);
  const seconds = Math.max(0, Math.floor((found.expiresAt - Date.now()) / 1000));
  return new Response(Bun.file(found.path), {
    headers: answerHeaders(exchange, {
      "content-type": found.contentType,
      "content-length": String(found.bytes),
      "cache-control": `private, max-age=${seconds}, immutable`,
      // Opened in a browser it is a picture, whatever else its bytes might be taken for.
      "content-security-policy": "default-src 'none'; sandbox",
    }),
  });
}

function painterOf(exchange: Exchange, body: Record<string, unknown>): { model: Model; engine: Served } {
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model);
  refuseUnable(exchange, model, engine, "image_generation");
  return { model, engine };
}

/** What of a call is the same for both endpoints, and the fields that the engine gets in place of the caller's. */
function planOf(exchange: Exchange, task: ImageTask, call: ImageRequest, model: Model, engine: Served) {
  const canvas = canvasOf(call, model);
  const { width, height, n } = canvas;
  const streams = call.stream === true && engine.features.has("image_streaming");
  const asked = {
    size: `${width}x${height}`,
    // Some servers have one way to give an image, and refuse to be told.
    response_format: engine.features.has("image_response_format") ? "b64_json" : undefined,
    ...(call.stream === undefined || streams ? {} : { stream: undefined, partial_images: undefined }),
  };
  const rest: Omit<RelayCall, "path" | "received" | "body"> = {
    model,
    engine,
    stream: streams,
    choices: n,
    generations: n,
    // Of text there is only the prompt, and what a model reads of it is its own affair.
    inputTokens: 0,
    inputField: "prompt",
    outputTokens: null,
    outputField: null,
    measures: [{ limit: "imagePixelsMax", amount: n * width * height, field: "size" }],
    finish: (bytes, signal) => finishImages(exchange, task, call, canvas, bytes, signal),
  };
  return { asked, rest };
}
