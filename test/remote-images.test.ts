// Images by servers that are not ours: one that knows PNG and base64 alone, as stable-diffusion.cpp's does, and one that gives
// links. What callers asked for is made of what such servers say.

import { afterAll, expect, test } from "bun:test";
import OpenAI, { toFile } from "openai";
import sharp from "sharp";
import { adminPlan, dataWith } from "./data.ts";
import { KEY } from "./harness.ts";
import { request } from "./http.ts";
import { openFiles } from "./images.ts";
import { testTraffic, useServer } from "./suite.ts";

const PLAIN = "stable-diffusion-3.5-large";
const GIVES = "sdxl";
const LINKS = "flux.1-schnell";

const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: "#a50" } })
  .png()
  .toBuffer();
const files = openFiles({ "/made.png": { bytes: png } });
/** What the servers were asked for, the latest last. */
const asked: { path: string; body: Record<string, unknown>; image?: Uint8Array }[] = [];

const paints = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (request.method === "GET")
      return Response.json({ object: "list", data: [{ id: "sd-cpp-local", object: "model" }] });
    const type = request.headers.get("content-type") ?? "";
    if (type.startsWith("multipart/")) {
      const form = await request.formData();
      const image = new Uint8Array(await (form.get("image") as Blob).arrayBuffer());
      const fields = [...form.entries()].filter(([, value]) => typeof value === "string");
      asked.push({ path: pathname, body: Object.fromEntries(fields), image });
    } else asked.push({ path: pathname, body: (await request.json()) as Record<string, unknown> });
    const { body } = asked.at(-1)!;
    const n = Number(body.n ?? 1);
    if (body.model === "gives" && "response_format" in body) {
      const error = {
        message: "Unknown parameter: 'response_format'.",
        type: "invalid_request_error",
        param: null,
        code: null,
      };
      return Response.json({ error }, { status: 400 });
    }
    if (body.prompt === "broken") return Response.json({ created: 1, data: [] });
    if (body.model === "links") {
      return Response.json({ data: Array.from({ length: n }, () => ({ url: `${files.origin}/made.png` })) });
    }
    return Response.json({
      created: 1,
      output_format: "png",
      data: Array.from({ length: n }, () => ({ b64_json: png.toString("base64"), revised_prompt: "as it was" })),
    });
  },
});
const data = dataWith(
  ({ engines }) => {
    delete engines.tiny;
    delete engines.simulator;
    const url = `http://127.0.0.1:${paints.port}/v1`;
    engines.plain = { kind: "images", url, models: [{ id: PLAIN, name: "sd-cpp-local" }], slots: 2 };
    engines.gives = { kind: "openai", url, models: [{ id: GIVES, name: "gives" }], slots: 2 };
    engines.links = { kind: "images", url, models: [{ id: LINKS, name: "links" }], slots: 2 };
  },
  adminPlan({ requestsPerMinute: null }),
);
const server = useServer({ env: { OXBOW_DATA: data.folder, OXBOW_FETCH_ALLOW: files.origin } });
afterAll(() => {
  void paints.stop(true);
  files.stop();
  data.remove();
});

const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const call = { model: PLAIN, prompt: "a lighthouse", size: "1024x1024" as const };
const open = (b64: string | undefined) => sharp(Buffer.from(b64!, "base64")).metadata();

test("the server is asked for base64 by the name that it knows, and its bytes pass untouched", async () => {
  const answer = await client().images.generate({ ...call, response_format: "b64_json", n: 2 });
  expect(asked.at(-1)!.body).toEqual({ ...call, model: "sd-cpp-local", n: 2, response_format: "b64_json" });
  expect(answer.data!.map(({ b64_json }) => b64_json)).toEqual(Array(2).fill(png.toString("base64")));
  expect(answer.data![0]!.revised_prompt).toBe("as it was");
  expect(answer.usage!.output_tokens).toBe(2 * 64 * 64);
});

test("links and other formats are made of what comes", async () => {
  const linked = await client().images.generate(call);
  expect(Buffer.from(await (await fetch(linked.data![0]!.url!)).bytes()).equals(png)).toBe(true);
  const jpeg = await client().images.generate({ ...call, response_format: "b64_json", output_format: "jpeg" });
  expect((await open(jpeg.data![0]!.b64_json)).format).toBe("jpeg");
});

test("a caller who wants a stream gets the image as an event, from a server that has none", async () => {
  const events = await Array.fromAsync(await client().images.generate({ ...call, stream: true, partial_images: 2 }));
  expect(events.map(({ type }) => type)).toEqual(["image_generation.completed"]);
  expect("stream" in asked.at(-1)!.body).toBe(false);
});

test("a server that gives links all the same is read", async () => {
  const answer = await client().images.generate({ ...call, model: LINKS, response_format: "b64_json" });
  expect(answer.data![0]!.b64_json).toBe(png.toString("base64"));
});

test("a server that has one way to give images is not told which, and the caller gets his", async () => {
  const answer = await client().images.generate({ ...call, model: GIVES, response_format: "b64_json" });
  expect(answer.data![0]!.b64_json).toBe(png.toString("base64"));
  const image = await toFile(png, "photo.png", { type: "image/png" });
  const edited = await client().images.edit({ ...call, model: GIVES, image, response_format: "url" });
  expect(edited.data![0]!.url).toStartWith("http://");
});

test("a link names the host that was called, or what the server listens on, whatever the caller said of it", async () => {
  const body = JSON.stringify({ ...call, response_format: "url" });
  const linkFor = async (host: string) => {
    const headers = { authorization: `Bearer ${KEY}`, host };
    const answer = await request(server().port, "POST", "/v1/images/generations", { headers, body });
    return (JSON.parse(answer!.body.toString()) as { data: [{ url: string }] }).data[0].url;
  };
  expect(await linkFor("ai.example.com")).toStartWith("http://ai.example.com/v1/blobs/");
  for (const odd of ["", "a b", "u:p@h", "x/../y", "[::1", "a?b", "a#b"])
    expect([odd, new URL(await linkFor(odd)).host]).toEqual([odd, `127.0.0.1:${server().port}`]);
});

test("the head of an image says how large it is", async () => {
  const { data } = await client().images.generate({ ...call, response_format: "url" });
  const url = data![0]!.url!;
  const head = await fetch(url, { method: "HEAD" });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(png.length)]);
  expect((await (await fetch(url)).bytes()).length).toBe(png.length);
});

test("an edit reaches the server as a form, with an image that was made anew", async () => {
  const photo = await sharp(png)
    .jpeg()
    .withExif({ IFD0: { Artist: "somebody" } })
    .toBuffer();
  const image = await toFile(photo, "photo.jpg", { type: "image/jpeg" });
  const answer = await client().images.edit({ ...call, image, response_format: "b64_json" });
  expect((await open(answer.data![0]!.b64_json)).width).toBe(64);
  const sent = asked.at(-1)!;
  expect([sent.path, sent.body.model, sent.body.prompt]).toEqual(["/v1/images/edits", "sd-cpp-local", "a lighthouse"]);
  const { format, exif } = await sharp(sent.image!).metadata();
  expect([format, exif]).toEqual(["png", undefined]);
});

test("an answer without the images is a failure of the engine, and is not counted", async () => {
  const error = await client()
    .images.generate({ ...call, prompt: "broken" })
    .catch((thrown) => thrown);
  expect([error.status, error.code]).toEqual([502, "engine_failed"]);
});

test("what such a server has no handle for is refused by name", async () => {
  const error = await client()
    .images.generate({ ...call, seed: 5 } as typeof call)
    .catch((thrown) => thrown);
  expect([error.status, error.code, error.param]).toEqual([400, "unsupported_parameter", "seed"]);
});

testTraffic(server);
