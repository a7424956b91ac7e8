// Images through the whole house on a diffusion pipeline that the test makes: the official client, the gateway, and the
// worker that runs real graphs.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import sharp from "sharp";
import { writeDiffusion } from "../../models/fixtures/diffusion.ts";
import { adminPlan, dataWith } from "../data.ts";
import { KEY } from "../harness.ts";
import { testTraffic, useServer } from "../suite.ts";

const PAINTS = "stable-diffusion-v1.5";
const folder = mkdtempSync(join(tmpdir(), "oxbow-sd-"));
writeDiffusion(folder);
const data = dataWith(
  ({ engines }) => {
    delete engines.tiny;
    delete engines.simulator;
    engines.sd = { kind: "onnx", models: [{ id: PAINTS, file: folder }], slots: 2, threads: 1 };
  },
  adminPlan({ requestsPerMinute: null }),
);
const server = useServer({ env: { OXBOW_DATA: data.folder } });
afterAll(() => {
  data.remove();
  rmSync(folder, { recursive: true });
});

const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const ask = { model: PAINTS, prompt: "a lighthouse at night", size: "256x256" as const, seed: 5 };
const base64 = { ...ask, response_format: "b64_json" as const };
const seeded = (seed: number) => client().images.generate({ ...base64, seed } as typeof base64);
const open = (b64: string | undefined) => sharp(Buffer.from(b64!, "base64")).metadata();
const icon = await sharp({ create: { width: 300, height: 300, channels: 4, background: "#0c0" } })
  .png()
  .toBuffer();

test("by link, as base64, and streamed, it is the same image", async () => {
  const linked = await fetch((await client().images.generate(ask)).data![0]!.url!);
  const inline = (await client().images.generate(base64)).data![0]!.b64_json!;
  const events = await Array.fromAsync(await client().images.generate({ ...ask, stream: true, partial_images: 3 }));
  expect(events.map(({ type }) => type.split(".")[1])).toEqual([...Array(3).fill("partial_image"), "completed"]);
  expect(Buffer.from(await linked.bytes()).toString("base64")).toBe(inline);
  expect(events[3]!.b64_json).toBe(inline);
});

test("several, in other formats, with the tokens that were counted", async () => {
  const answer = await client().images.generate({ ...base64, n: 2, output_format: "jpeg", output_compression: 60 });
  for (const { b64_json } of answer.data!) {
    const { format, width, height } = await open(b64_json);
    expect([format, width, height]).toEqual(["jpeg", 256, 256]);
  }
  expect(answer.usage).toMatchObject({ output_tokens: 2 * 256, input_tokens_details: { image_tokens: 0 } });
  expect(answer.usage!.input_tokens).toBeGreaterThan(3);
});

test("an edit keeps what the mask does not show, to the pixel", async () => {
  const shown = await sharp({ create: { width: 80, height: 60, channels: 4, background: "#000" } })
    .png()
    .toBuffer();
  const mask = await sharp(icon)
    .composite([{ input: shown, left: 100, top: 120, blend: "dest-out" }])
    .png()
    .toBuffer();
  const [image, cut] = [
    await toFile(icon, "a.png", { type: "image/png" }),
    await toFile(mask, "m.png", { type: "image/png" }),
  ];
  const answer = await client().images.edit({ ...base64, image, mask: cut });
  const painted = await sharp(Buffer.from(answer.data![0]!.b64_json!, "base64")).removeAlpha().raw().toBuffer();
  const at = (x: number, y: number) => [...painted.subarray(3 * (y * 256 + x), 3 * (y * 256 + x) + 3)];
  expect(at(5, 5)).toEqual([0, 0xcc, 0]);
  expect(at(250, 250)).toEqual([0, 0xcc, 0]);
  expect(at(120, 125)).not.toEqual([0, 0xcc, 0]);
});

test("a prompt that the model cannot read whole is refused in the worker's words, and is not counted", async () => {
  const error = await client()
    .images.generate({ ...ask, prompt: "lighthouse ".repeat(80) })
    .catch((thrown) => thrown);
  expect([error.status, error.code, error.param]).toEqual([400, "context_length_exceeded", "prompt"]);
  const inStream = await client()
    .images.generate({ ...ask, prompt: "lighthouse ".repeat(80), stream: true })
    .catch((thrown) => thrown);
  expect([inStream.status, inStream.code]).toEqual([400, "context_length_exceeded"]);
});

test("calls at the same time take turns, and each gets its own image", async () => {
  const seeds = [1, 2, 3, 4];
  const together = await Promise.all(seeds.map(seeded));
  for (const [at, seed] of seeds.entries()) {
    const alone = await seeded(seed);
    expect(together[at]!.data).toEqual(alone.data!);
  }
});

testTraffic(server);
