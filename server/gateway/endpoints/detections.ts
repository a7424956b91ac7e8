// POST /v1/images/detections: what is in an image, and where. The image comes as a file of a form, by address, as a data:
// URL or as bare base64; engines get it as a data: URL, decoded and written anew.

import {
  ApiError,
  bodyOfForm,
  classesWanted,
  DetectionRequest,
  type Form,
  parseDetectionRequest,
  writeForm,
} from "@oxbow/contract";
import { refuseUnable } from "../ability.ts";
import { readJson } from "../body.ts";
import type { Prepared } from "../call.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { readForm } from "../form.ts";
import { at, type Budget, budgetOf, bytesOfUrl, decodeBase64 } from "../images.ts";
import { engineOf, relayCall } from "../relay-call.ts";

const FIELD = "image";

export async function detections(exchange: Exchange): Promise<Response> {
  identify(exchange);
  const { received, body, file } = await readBody(exchange);
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model);
  refuseUnable(exchange, model, engine, "detection");
  const call = parseDetectionRequest(file ? { ...body, [FIELD]: file.name } : body);
  if (model.detection) classesWanted(call, model.detection.classes);
  const source: Source = file ?? { url: call.image };
  return relayCall(exchange, {
    model,
    engine,
    path: "/v1/images/detections",
    received,
    body,
    prepare: (signal) => takeImage(exchange, source, signal),
    stream: false,
    choices: 1,
    generations: 1,
    inputTokens: 0,
    inputField: FIELD,
    outputTokens: 0,
    outputField: null,
  });
}

type Source = { name: string; bytes: Uint8Array } | { url: string };

interface Received {
  /** The same for the same call, however its form was cut into parts. */
  received: Uint8Array;
  body: Record<string, unknown>;
  /** Of a form that holds one. */
  file: { name: string; bytes: Uint8Array } | null;
}

/** @throws ApiError for a body that is none, and for a form with more than one image */
async function readBody(exchange: Exchange): Promise<Received> {
  const type = exchange.request.headers.get("content-type") ?? "";
  if (!/^\s*multipart\//i.test(type)) {
    const { bytes, body } = await readJson(exchange);
    return { received: bytes, body, file: null };
  }
  const form = await readForm(exchange, { bytesMax: exchange.rooms.limits.bodyBytesMax });
  const file = fileOf(form);
  return { received: writeForm(form, DetectionRequest).bytes, body: bodyOfForm(form, DetectionRequest), file };
}

function fileOf({ files, fields }: Form): Received["file"] {
  const [file, ...others] = files.filter(({ name }) => name === FIELD);
  if (others.length > 0 || (file && fields.has(FIELD))) {
    const text = `Invalid '${FIELD}': a call looks at one image, and the form holds more.`;
    throw new ApiError("invalid_value", text, { param: FIELD });
  }
  return file ? { name: file.filename || FIELD, bytes: file.bytes } : null;
}

/** @throws ApiError that names the field */
async function takeImage(exchange: Exchange, source: Source, signal: AbortSignal): Promise<Prepared> {
  const { media, limits } = exchange.rooms;
  const { imageBytesMax: bytesMax, imagePixelsMax: pixelsMax } = limits;
  const budget = budgetOf(exchange);
  try {
    const given = "bytes" in source ? source.bytes : await bytesOf(exchange, source.url, budget, signal);
    const { bytes, format, width, height } = await media.image(given, {
      bytesMax,
      pixelsMax,
      quality: QUALITY,
      owner: budget.owner,
      signal,
    });
    const url = `data:image/${format};base64,${Buffer.from(bytes).toString("base64")}`;
    budget.take(url.length);
    return {
      instead: { [FIELD]: url },
      measures: [{ limit: "imagePixelsMax", amount: width * height, field: FIELD }],
    };
  } catch (error) {
    throw at(error, FIELD);
  }
}

/** Of a photograph that is written again: no box moves by as much as a pixel. */
const QUALITY = 98;

function bytesOf(
  { rooms: { media, limits } }: Exchange,
  url: string,
  budget: Budget,
  signal: AbortSignal,
): Promise<Uint8Array> | Uint8Array {
  // Base64 has no colon: what has one was meant as an address, and is refused as one.
  if (!/^[a-z][a-z0-9+.-]*:/i.test(url)) return decodeBase64(url);
  return bytesOfUrl(media, url, limits.imageBytesMax, budget, signal);
}
