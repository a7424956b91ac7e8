// Each model twice, by the real worker and by the simulator, under the same entry of the catalogue: what one refuses the
// other refuses in the same words, and what one answers has the form of the other's answer. So a program that was tested
// against the simulator meets nothing new afterwards.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { ErrorBody } from "@oxbow/contract";
import sharp from "sharp";
import { KEY } from "./harness.ts";
import { warm } from "./onnx-data.ts";
import { wavOf } from "./recordings.ts";
import { testTraffic, useServer } from "./suite.ts";
import { openTwins, twinOf } from "./twins.ts";

const twins = openTwins();
afterAll(twins.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: twins.folder } });
beforeAll(() => warm(server(), Object.keys(twins.models)), 120_000);

/** A field of a form: a text, several, or a file. */
type Fields = Record<string, string | (string | File)[] | File>;
/** @param body of JSON, unless a file is in it */
type Call = [what: string, model: string, path: string, body: object | Fields];

const file = new File([new Uint8Array(wavOf(2))], "a.wav");
const png = await sharp({ create: { width: 64, height: 64, channels: 4, background: "#0c0" } })
  .png()
  .toBuffer();
const image = new File([new Uint8Array(png)], "image.png");
const cut = await sharp(png)
  .composite([{ input: await sharp(png).resize(16).toBuffer(), left: 8, top: 8, blend: "dest-out" }])
  .png()
  .toBuffer();
const mask = new File([new Uint8Array(cut)], "mask.png");
const dataUrl = `data:image/png;base64,${png.toString("base64")}`;
const words = (count: number) => Array.from({ length: count }, () => "sea").join(" ");
const times = (of: string, format: string) => ({
  file,
  "timestamp_granularities[]": [of],
  response_format: format,
});

const REFUSED: Call[] = [
  ["no input", "text", "/embeddings", {}],
  ["nothing to embed", "text", "/embeddings", { input: "" }],
  ["an empty list", "text", "/embeddings", { input: [] }],
  ["an empty text in a list", "text", "/embeddings", { input: ["a", ""] }],
  ["texts and tokens mixed", "text", "/embeddings", { input: ["a", [1, 2]] }],
  ["numbers and texts mixed", "text", "/embeddings", { input: [1, "a"] }],
  ["a number", "text", "/embeddings", { input: 7 }],
  ["an empty list of tokens", "text", "/embeddings", { input: [[1], []] }],
  ["more than 2048 texts", "text", "/embeddings", { input: Array(2049).fill("a") }],
  ["a length that it was not trained for", "text", "/embeddings", { input: "a", dimensions: 20 }],
  ["a length of nothing", "text", "/embeddings", { input: "a", dimensions: 0 }],
  ["a strange encoding", "text", "/embeddings", { input: "a", encoding_format: "hex" }],
  ["a kind of input where it makes no difference", "text", "/embeddings", { input: "a", input_type: "query" }],
  ["an embedding of a model that speaks", "mouth", "/embeddings", { input: "a" }],
  ["an unknown voice", "mouth", "/audio/speech", { input: "Hi.", voice: "nobody" }],
  ["a voice by its id", "mouth", "/audio/speech", { input: "Hi.", voice: { id: "af_heart" } }],
  ["no voice", "mouth", "/audio/speech", { input: "Hi." }],
  ["instructions", "mouth", "/audio/speech", { input: "Hi.", voice: "heart", instructions: "Whisper." }],
  ["nothing that can be said", "mouth", "/audio/speech", { input: " … !", voice: "heart" }],
  ["a strange format of sound", "mouth", "/audio/speech", { input: "Hi.", voice: "heart", response_format: "au" }],
  ["too fast", "mouth", "/audio/speech", { input: "Hi.", voice: "heart", speed: 4.5 }],
  ["a strange form of stream", "mouth", "/audio/speech", { input: "Hi.", voice: "heart", stream_format: "ws" }],
  ["too long", "mouth", "/audio/speech", { input: "a".repeat(4097), voice: "heart" }],
  ["speech of a model that hears", "ear", "/audio/speech", { input: "Hi.", voice: "heart" }],
  ["no recording", "ear", "/audio/transcriptions", { other: file }],
  ["a language that nobody speaks", "ear", "/audio/transcriptions", { file, language: "xx" }],
  ["a language that it does not know", "ear", "/audio/transcriptions", { file, language: "ja" }],
  ["a strange format", "ear", "/audio/transcriptions", { file, response_format: "pdf" }],
  ["speakers", "ear", "/audio/transcriptions", { file, response_format: "diarized_json" }],
  ["log-probabilities", "ear", "/audio/transcriptions", { file, "include[]": ["logprobs"] }],
  ["times without their format", "ear", "/audio/transcriptions", times("word", "json")],
  ["times of letters", "ear", "/audio/transcriptions", times("letter", "verbose_json")],
  ["captions as a stream", "ear", "/audio/transcriptions", { file, stream: "true", response_format: "srt" }],
  ["chunks of its own", "ear", "/audio/transcriptions", { file, "chunking_strategy[type]": "server_vad" }],
  ["too hot", "ear", "/audio/transcriptions", { file, temperature: "1.5" }],
  ["words to look for", "ear", "/audio/transcriptions", { file, "keywords[]": ["Oxbow"] }],
  ["what is no recording", "ear", "/audio/transcriptions", { file: new File(["nothing of the kind"], "a.wav") }],
  ["an empty recording", "ear", "/audio/transcriptions", { file: new File([], "a.wav") }],
  ["another ending", "ear", "/audio/transcriptions", { file: new File([new Uint8Array(wavOf(1))], "a.doc") }],
  ["a translation as a stream", "ear", "/audio/translations", { file, stream: "true" }],
  ["a translation with speakers", "ear", "/audio/translations", { file, response_format: "diarized_json" }],
  ["no prompt", "brush", "/images/generations", {}],
  ["none", "brush", "/images/generations", { prompt: "sea", n: 0 }],
  ["eleven", "brush", "/images/generations", { prompt: "sea", n: 11 }],
  ["a size that it does not have", "brush", "/images/generations", { prompt: "sea", size: "256x256" }],
  ["an odd size", "brush", "/images/generations", { prompt: "sea", size: "65x64" }],
  ["no size at all", "brush", "/images/generations", { prompt: "sea", size: "large" }],
  ["a strange quality", "brush", "/images/generations", { prompt: "sea", quality: "best" }],
  ["a background of glass", "brush", "/images/generations", { prompt: "sea", background: "transparent" }],
  ["a compressed PNG", "brush", "/images/generations", { prompt: "sea", output_compression: 50 }],
  ["a strange format of images", "brush", "/images/generations", { prompt: "sea", output_format: "gif" }],
  ["looks without a stream", "brush", "/images/generations", { prompt: "sea", partial_images: 2 }],
  ["too many looks", "brush", "/images/generations", { prompt: "sea", stream: true, partial_images: 4 }],
  ["links in a stream", "brush", "/images/generations", { prompt: "sea", stream: true, response_format: "url" }],
  ["a long prompt", "brush", "/images/generations", { prompt: words(200) }],
  ["a strength without an image", "brush", "/images/generations", { prompt: "sea", strength: 0.5 }],
  ["more fidelity than it has", "brush", "/images/edits", { prompt: "sea", image, input_fidelity: "high" }],
  ["two images", "brush", "/images/edits", { prompt: "sea", image: [image, image] }],
  ["no image to start from", "brush", "/images/edits", { prompt: "sea" }],
  ["what is no image", "brush", "/images/edits", { prompt: "sea", image: new File(["none"], "image.png") }],
  ["an image of a model that hears", "ear", "/images/generations", { prompt: "sea" }],
  ["nothing to look at", "eye", "/images/detections", {}],
  ["a class that it does not know", "eye", "/images/detections", { image: dataUrl, classes: ["dog"] }],
  ["a score above one", "eye", "/images/detections", { image: dataUrl, threshold: 1.5 }],
  ["no detections", "eye", "/images/detections", { image: dataUrl, max_detections: 0 }],
  ["what is no picture", "eye", "/images/detections", { image: "data:image/png;base64,AAAA" }],
];

test.each(REFUSED)("%s: both refuse it in the same words", async (_, model, path, body) => {
  const [real, simulated] = await Promise.all([refusalOf(model, path, body), refusalOf(twinOf(model), path, body)]);
  expect(real.status).toBeGreaterThanOrEqual(400);
  expect(real.status).toBeLessThan(500);
  expect(simulated).toEqual(real);
});

const ANSWERED: Call[] = [
  ["vectors", "text", "/embeddings", { input: ["a", "b"] }],
  ["vectors as base64", "text", "/embeddings", { input: "a", encoding_format: "base64" }],
  ["short vectors", "text", "/embeddings", { input: "a", dimensions: 16 }],
  ["vectors of tokens", "text", "/embeddings", { input: [[1, 2, 3], [4]] }],
  ["a voice by its short name", "mouth", "/audio/speech", { input: "Hi.", voice: "heart", response_format: "wav" }],
  ["speech as events", "mouth", "/audio/speech", { input: "Hi.", voice: "am_echo", stream_format: "sse" }],
  ["a transcript", "ear", "/audio/transcriptions", { file, language: "de-AT", prompt: "Oxbow" }],
  ["a transcript in a language by name", "ear", "/audio/transcriptions", { file, language: "German" }],
  ["a transcript as text", "ear", "/audio/transcriptions", { file, response_format: "text" }],
  ["captions", "ear", "/audio/transcriptions", { file, response_format: "vtt" }],
  ["segments", "ear", "/audio/transcriptions", { file, response_format: "verbose_json" }],
  ["words", "ear", "/audio/transcriptions", times("word", "verbose_json")],
  ["a transcript as a stream", "ear", "/audio/transcriptions", { file, stream: "true", chunking_strategy: "auto" }],
  ["a translation", "ear", "/audio/translations", { file }],
  ["a translation with segments", "ear", "/audio/translations", { file, response_format: "verbose_json" }],
  ["an image by link", "brush", "/images/generations", { prompt: "sea", n: 2, quality: "low" }],
  ["an image as it is made", "brush", "/images/generations", { prompt: "sea", stream: true, partial_images: 1 }],
  ["an image of another size", "brush", "/images/generations", { prompt: "sea", size: "128x64", seed: 3 }],
  ["an edit", "brush", "/images/edits", { prompt: "sea", image, mask, response_format: "b64_json" }],
  ["detections", "eye", "/images/detections", { image: dataUrl, threshold: 0, classes: ["cap", "label"] }],
  ["detections in a form", "eye", "/images/detections", { image, threshold: "0", max_detections: "3" }],
];

test.each(ANSWERED)("%s: both answer, in the same form", async (_, model, path, body) => {
  const [real, simulated] = await Promise.all([formOf(model, path, body), formOf(twinOf(model), path, body)]);
  expect(real.status).toBe(200);
  expect(simulated).toEqual(real);
});

function post(model: string, path: string, body: object | Fields): Promise<Response> {
  const headers = { authorization: `Bearer ${KEY}` };
  const url = server().baseUrl + path;
  if (
    !Object.values(body)
      .flat()
      .some((value) => value instanceof File)
  ) {
    const json = { ...headers, "content-type": "application/json" };
    return fetch(url, { method: "POST", headers: json, body: JSON.stringify({ model, ...body }) });
  }
  const form = new FormData();
  form.append("model", model);
  for (const [name, value] of Object.entries(body as Fields)) {
    for (const each of Array.isArray(value) ? value : [value]) form.append(name, each);
  }
  return fetch(url, { method: "POST", headers, body: form });
}

/** Under the name of the real model. */
async function refusalOf(model: string, path: string, body: object): Promise<{ status: number; error: unknown }> {
  const answer = await post(model, path, body);
  const text = (await answer.text()).replaceAll(twinOf(""), "").replace("at least ", "");
  return { status: answer.status, error: (JSON.parse(text) as ErrorBody).error };
}

/** What of an answer is the same whoever gives it: type of content, names of fields, sorts of values, types of events. */
async function formOf(model: string, path: string, body: object) {
  const answer = await post(model, path, body);
  const type = answer.headers.get("content-type");
  const text = await answer.text();
  const shape = type?.includes("json")
    ? shapeOf(JSON.parse(text))
    : type?.includes("event-stream")
      ? [...new Set(text.split("\n").flatMap((line) => (line.startsWith("data: {") ? [shapeOfEvent(line)] : [])))]
      : null;
  return { status: answer.status, type, shape };
}

function shapeOfEvent(line: string): string {
  const event = JSON.parse(line.slice("data: ".length)) as { type: string };
  return JSON.stringify([event.type, shapeOf(event)]);
}

/** Of a list the sorts that are in it, once each: how long it is, is up to what was seen or heard. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return [...new Set(value.map((each) => JSON.stringify(shapeOf(each))))];
  if (typeof value !== "object" || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, each]) => [name, shapeOf(each)] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
}

testTraffic(server);
