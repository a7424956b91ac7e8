// Images made and edited, by the official Node client: links and base64, formats, sizes, several at once, events on the way,
// edits by form and by JSON; what comes out is opened by a decoder of its own.

import { afterAll, expect, test } from "bun:test";
import OpenAI, { BadRequestError, NotFoundError, toFile } from "openai";
import sharp from "sharp";
import { adminPlan, dataWith } from "../data.ts";
import { eventually, KEY } from "../harness.ts";
import { openFiles, pngHead, pngOfZeros } from "../images.ts";
import { MODEL, testTraffic, useServer } from "../suite.ts";

const PAINTS = "stable-diffusion-v1.5";
const icon = await sharp({ create: { width: 64, height: 48, channels: 4, background: "#0c0" } })
  .png()
  .toBuffer();
const files = openFiles({ "/icon.png": { bytes: icon } });
const data = dataWith(() => {}, adminPlan({ requestsPerMinute: null, imagePixelsMax: 5_000_000 }));
const server = useServer({ simulate: true, env: { OXBOW_FETCH_ALLOW: files.origin, OXBOW_DATA: data.folder } });
afterAll(() => {
  files.stop();
  data.remove();
});

const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
type Params = Omit<OpenAI.ImageGenerateParamsNonStreaming, "size"> & { size?: string; seed?: number; steps?: number };
const generate = (params: Partial<Params> = {}) =>
  client().images.generate({
    model: PAINTS,
    prompt: "a lighthouse",
    ...params,
  } as OpenAI.ImageGenerateParamsNonStreaming);
const decode = (b64: string | undefined) => sharp(Buffer.from(b64!, "base64")).metadata();

async function refusal(pending: Promise<unknown>): Promise<unknown[]> {
  const error = await pending.then(
    () => new Error("it was answered"),
    (thrown) => thrown,
  );
  if (!(error instanceof BadRequestError)) throw error;
  return [error.code, error.param];
}

/** Requests that the account has used today. */
async function used(): Promise<number> {
  const answer = await fetch(`${server().baseUrl}/usage`, { headers: { authorization: `Bearer ${KEY}` } });
  return ((await answer.json()) as { today: { used: number } }).today.used;
}

test("a link leads to an image of the model's size, without a key", async () => {
  const answer = await generate();
  expect(answer.data).toHaveLength(1);
  expect(answer.data![0]!.b64_json).toBeUndefined();
  const { url } = answer.data![0]!;
  expect(url).toStartWith(server().baseUrl);
  const image = await fetch(url!);
  expect([image.status, image.headers.get("content-type")]).toEqual([200, "image/png"]);
  const opened = await sharp(await image.bytes()).metadata();
  expect([opened.format, opened.width, opened.height]).toEqual(["png", 512, 512]);
  expect([answer.size as string, answer.output_format, answer.background]).toEqual(["512x512", "png", "opaque"]);
  expect(answer.usage!.output_tokens).toBe(32 * 32);
  expect(answer.usage!.total_tokens).toBe(answer.usage!.input_tokens + answer.usage!.output_tokens);
});

test("a link that was changed, or has had its time, leads nowhere", async () => {
  const { url } = (await generate()).data![0]!;
  const changes = [
    url!.replace(/signature=./, "signature=x"),
    url!.replace(/expires=\d+/, "expires=9999999999"),
    url!.replace(/blobs\/.{8}/, "blobs/00000000"),
    url!.replace(/\?.*/, ""),
    url!.replace(/blobs\/.*\?/, "blobs/key?"),
    url!.replace(/blobs\/.*\?/, "blobs/..%2F..%2Fkey?"),
  ];
  for (const changed of changes) {
    const answer = await fetch(changed);
    expect(answer.status).toBe(404);
    await answer.json();
  }
});

test("base64 is what is asked for, and nothing else comes", async () => {
  const answer = await generate({ response_format: "b64_json", n: 3, size: "256x320" });
  expect(answer.data!.map(({ url }) => url)).toEqual([undefined, undefined, undefined]);
  for (const { b64_json } of answer.data!) {
    const opened = await decode(b64_json);
    expect([opened.width, opened.height]).toEqual([256, 320]);
  }
  expect(new Set(answer.data!.map(({ b64_json }) => b64_json)).size).toBe(3);
});

test("the formats, and how far they are pressed", async () => {
  const sizes: number[] = [];
  for (const output_compression of [10, 95]) {
    for (const output_format of ["jpeg", "webp"] as const) {
      const answer = await generate({ response_format: "b64_json", output_format, output_compression });
      expect([(await decode(answer.data![0]!.b64_json)).format, answer.output_format]).toEqual([
        output_format,
        output_format,
      ]);
      sizes.push(answer.data![0]!.b64_json!.length);
    }
  }
  expect(sizes[0]!).toBeLessThan(sizes[2]!);
});

test("the same seed and request give the same image, another seed another one", async () => {
  const of = async (seed: number) => (await generate({ response_format: "b64_json", seed })).data![0]!.b64_json;
  const [one, again, other] = [await of(1), await of(1), await of(2)];
  expect(one).toBe(again!);
  expect(one).not.toBe(other!);
});

test("events on the way, and the image at the end", async () => {
  const stream = await client().images.generate({ model: PAINTS, prompt: "a lake", stream: true, partial_images: 2 });
  const events = await Array.fromAsync(stream);
  expect(events.map(({ type }) => type)).toEqual([
    "image_generation.partial_image",
    "image_generation.partial_image",
    "image_generation.completed",
  ]);
  for (const event of events) expect((await decode(event.b64_json)).width).toBe(512);
  const last = events[2] as OpenAI.ImageGenCompletedEvent;
  expect(last.usage.output_tokens).toBe(1024);
  expect(events.slice(0, 2).map((event) => "partial_image_index" in event && event.partial_image_index)).toEqual([
    0, 1,
  ]);
});

test("an edit by form, with a mask and several images", async () => {
  const image = await toFile(icon, "icon.png", { type: "image/png" });
  const size = "512x512" as const;
  const one = await client().images.edit({
    model: PAINTS,
    prompt: "at night",
    image,
    mask: image,
    size,
    response_format: "b64_json",
  });
  expect((await decode(one.data![0]!.b64_json)).width).toBe(512);
  const several = { prompt: "at night", image: [image, image], size };
  const two = await client().images.edit({ ...several, model: "stable-diffusion-3.5-large" });
  expect((await fetch(two.data![0]!.url!)).status).toBe(200);
  expect(two.usage!.input_tokens_details.image_tokens).toBe(2 * 4 * 3);
  // What this machine could run starts from one.
  expect(await refusal(client().images.edit({ ...several, model: PAINTS }))).toEqual(["unsupported_value", "image"]);
});

test("an edit as a stream", async () => {
  const image = await toFile(icon, "icon.png", { type: "image/png" });
  const stream = await client().images.edit({
    model: PAINTS,
    prompt: "at night",
    image,
    stream: true,
    partial_images: 1,
  });
  const events = await Array.fromAsync(stream);
  expect(events.map(({ type }) => type)).toEqual(["image_edit.partial_image", "image_edit.completed"]);
});

const edit = async (body: object) => {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const asked = { model: PAINTS, prompt: "at night", response_format: "b64_json", ...body };
  const answer = await fetch(`${server().baseUrl}/images/edits`, {
    method: "POST",
    headers,
    body: JSON.stringify(asked),
  });
  return {
    status: answer.status,
    body: (await answer.json()) as { data: { b64_json: string }[]; error?: { code: string; param: string } },
  };
};

test("an edit by JSON, from a link and from base64, is the same edit", async () => {
  const byLink = await edit({ images: [{ image_url: `${files.origin}/icon.png` }] });
  const inline = await edit({ images: [{ image_url: `data:image/png;base64,${icon.toString("base64")}` }] });
  expect([byLink.status, inline.status]).toEqual([200, 200]);
  expect(byLink.body.data).toEqual(inline.body.data);
});

test("what an edit cannot start from is refused by its field", async () => {
  const refused = async (body: object) => {
    const { error } = (await edit(body)).body;
    return [error?.code, error?.param] as unknown[];
  };
  expect(await refused({})).toEqual(["missing_required_parameter", "images"]);
  expect(await refused({ images: [{ file_id: "file-1" }] })).toEqual(["unsupported_parameter", "images[0].file_id"]);
  expect(await refused({ images: [{ image_url: "http://127.0.0.1/" }] })).toEqual([
    "invalid_image_url",
    "images[0].image_url",
  ]);
  const url = `data:image/png;base64,${icon.toString("base64")}`;
  const other = await sharp(icon).resize(10, 10).png().toBuffer();
  const mask = { image_url: `data:image/png;base64,${other.toString("base64")}` };
  expect(await refused({ images: [{ image_url: url }], mask })).toEqual([null, "mask.image_url"]);
});

const HOSTILE: [what: string, bytes: Uint8Array, code: string][] = [
  ["nothing", new Uint8Array(), "empty_image_file"],
  ["a text called .png", Buffer.from("no image"), "invalid_image_format"],
  ["half an image", icon.subarray(0, icon.length / 2), "image_parse_error"],
  ["a bomb", pngOfZeros(50_000), "image_too_large"],
  ["a head that promises too much", pngHead(60_000, 60_000), "image_too_large"],
];

test.each(HOSTILE)("%s as the image of an edit is refused", async (_, bytes, code) => {
  const image = await toFile(bytes, "image.png", { type: "image/png" });
  expect(await refusal(client().images.edit({ model: PAINTS, prompt: "x", image }))).toEqual([code, "image"]);
});

test("a form of a hundred and one parts, and one of seventeen images, are refused", async () => {
  const send = async (count: number) => {
    const form = new FormData();
    form.set("model", PAINTS);
    form.set("prompt", "x");
    for (let index = 0; index < count; index++) form.append("image[]", new Blob([icon]), `${index}.png`);
    const headers = { authorization: `Bearer ${KEY}` };
    const answer = await fetch(`${server().baseUrl}/images/edits`, { method: "POST", headers, body: form });
    return [answer.status, ((await answer.json()) as { error: { code: string | null } }).error.code];
  };
  expect(await send(101)).toEqual([400, null]);
  expect(await send(17)).toEqual([400, "array_above_max_length"]);
});

test.each([
  [{ size: "500x500" }, "invalid_value", "size"],
  [{ size: "8192x8192" }, "invalid_value", "size"],
  [{ size: "big" }, "invalid_value", "size"],
  [{ n: 0 }, "integer_below_min_value", "n"],
  [{ n: 11 }, "integer_above_max_value", "n"],
  [{ prompt: "" }, "string_below_min_length", "prompt"],
  [{ prompt: "x".repeat(32_001) }, "string_above_max_length", "prompt"],
  [{ output_format: "gif" as "png" }, "invalid_value", "output_format"],
  [{ output_compression: 50 }, null, "output_compression"],
  [{ background: "transparent" as const }, "unsupported_value", "background"],
  [{ n: 5, size: "1024x1024" }, "input_limit_exceeded", "size"],
  [{ model: MODEL }, "unsupported_value", "model"],
  [{ steps: 5 }, "unsupported_parameter", "steps"],
] as [Partial<Params>, string | null, string][])(
  "%#: what cannot be painted is refused by its field",
  async (params, code, param) => {
    expect(await refusal(generate(params))).toEqual([code, param]);
  },
);

test("a model that does not paint names one that does, and one that cannot edit one that can", async () => {
  const of = (pending: Promise<unknown>) =>
    pending.then(
      () => "",
      (error) => error.message as string,
    );
  expect(await of(generate({ model: MODEL }))).toMatch(/does not make images here\. `[\w.-]+` does\.$/);
  const image = await toFile(icon, "icon.png", { type: "image/png" });
  const message = await of(client().images.edit({ model: "flux.1-schnell", prompt: "x", image }));
  expect(message).toMatch(/'image' is not supported with the model `flux\.1-schnell`\. The model `[\w.-]+` does\./);
});

test("variations are refused by a clear word", async () => {
  const image = await toFile(icon, "icon.png", { type: "image/png" });
  const error = await client()
    .images.createVariation({ image })
    .catch((thrown) => thrown);
  expect(error).toBeInstanceOf(NotFoundError);
  expect(error.message).toContain("/v1/images/edits");
});

test("one answer is one request, however many images it has; a refused one is none", async () => {
  const before = await used();
  await generate({ n: 4, size: "256x256" });
  await refusal(generate({ size: "1x1" }));
  await eventually(async () => (await used()) === before + 1, "one request counted");
});

test("an answer is repeated under its key", async () => {
  const options = { headers: { "idempotency-key": crypto.randomUUID() } };
  const params = { model: PAINTS, prompt: "twice", size: "256x256" as const };
  const one = await client().images.generate(params, options);
  const two = await client().images.generate(params, options);
  expect(two).toEqual(one);
});

testTraffic(server);
