// Our images against those of another implementation, on the same weights and seeds: Python's onnxruntime, tokenizers and
// numpy, with a way from noise to image of its own.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { ImagesAnswer } from "@oxbow/contract";
import sharp from "sharp";
import { type DiffusionShape, SCHEDULER, SMALL_DIFFUSION, writeDiffusion } from "../../models/fixtures/diffusion.ts";
import { startWorker, type TestWorker, temporaryDirectory } from "../../workers/onnx/testing.ts";
import { pythonWithModels } from "../python/venv.ts";
import { reference } from "./reference.ts";

setDefaultTimeout(120_000);
const scratch = temporaryDirectory();
afterAll(() => scratch.remove());
beforeAll(() => void pythonWithModels(), 300_000);

const picture = await sharp({ create: { width: 128, height: 64, channels: 3, background: "#2060c0" } })
  .composite([{ input: { create: { width: 40, height: 30, channels: 3, background: "#f0a010" } }, left: 20, top: 10 }])
  .png()
  .toBuffer();

/** Transparent in a corner that ends inside of latent pixels. */
const mask = await sharp(picture)
  .ensureAlpha()
  .composite([
    {
      input: { create: { width: 45, height: 27, channels: 4, background: "#000" } },
      left: 61,
      top: 13,
      blend: "dest-out",
    },
  ])
  .png()
  .toBuffer();

interface Call {
  prompt: string;
  size: string;
  seed: number;
  steps: number;
  guidance_scale: number;
  negative_prompt?: string;
  strength?: number;
  /** base64 */
  image?: string;
  mask?: string;
}

const base = { size: "128x64", seed: 1, steps: 8, guidance_scale: 5 };
const CALLS: Call[] = [
  { ...base, prompt: "a red lighthouse" },
  { ...base, prompt: "The  SEA\tat night!! don't 2026 Größe 東京 🦬", size: "64x192", seed: 4_294_967_295, steps: 3 },
  { ...base, prompt: "a photo of the sea", negative_prompt: "blurry, red", guidance_scale: 9, seed: 77, steps: 20 },
  { ...base, prompt: "no pull at all", guidance_scale: 1, seed: 12_345 },
  { ...base, prompt: "edited", strength: 0.5, image: picture.toString("base64") },
  { ...base, prompt: "edited from nothing", strength: 1, image: picture.toString("base64"), steps: 5 },
  { ...base, prompt: "painted anew", image: picture.toString("base64"), mask: mask.toString("base64"), seed: 9 },
  {
    ...base,
    prompt: "painted a little",
    strength: 0.6,
    image: picture.toString("base64"),
    mask: mask.toString("base64"),
    steps: 10,
  },
];

const lcm = { ...SCHEDULER, _class_name: "LCMScheduler", original_inference_steps: 50, timestep_scaling: 10 };
const SHAPES: Record<string, Partial<DiffusionShape>> = {
  "Euler, leading": {},
  "Euler, trailing, velocity": {
    scheduler: { ...SCHEDULER, timestep_spacing: "trailing", prediction_type: "v_prediction" },
  },
  "Euler, linspace": { scheduler: { ...SCHEDULER, timestep_spacing: "linspace" } },
  "two text encoders": { large: true, scheduler: { ...SCHEDULER, timestep_spacing: "trailing" } },
  "LCM, told how strongly the text pulls": { scheduler: lcm, distilled: true },
  "half precision": { half: true },
  "half precision, two text encoders, told how strongly the text pulls": { half: true, large: true, distilled: true },
};

describe.each(Object.entries(SHAPES))("%s", (name, change) => {
  const folder = join(scratch.path, name.replaceAll(/\W+/g, "-"));
  let worker: TestWorker;
  let expected: { pixels: number[]; tokens: number }[];

  beforeAll(async () => {
    writeDiffusion(folder, { ...SMALL_DIFFUSION, seed: name.length, ...change });
    worker = await startWorker({ model: { id: "sd", category: "images" }, file: folder });
    expected = await reference("diffusion.py", { folder, calls: CALLS });
  });
  afterAll(() => worker?.stop());

  async function paint({ image, mask, ...call }: Call): Promise<ImagesAnswer> {
    const fields = { model: "sd", ...call };
    if (image === undefined)
      return (await worker.post("/v1/images/generations", fields)).json() as Promise<ImagesAnswer>;
    const form = new FormData();
    for (const [field, value] of Object.entries(fields)) form.set(field, String(value));
    for (const [name, data] of Object.entries({ image, mask })) {
      if (data) form.set(name, new Blob([Buffer.from(data, "base64")], { type: "image/png" }), `${name}.png`);
    }
    return (await worker.post("/v1/images/edits", form)).json() as Promise<ImagesAnswer>;
  }

  test.each(CALLS.map((call, at) => [call.prompt, at] as const))("%s", async (_, at) => {
    const answer = await paint(CALLS[at]!);
    expect(answer.usage!.input_tokens_details.text_tokens).toBe(expected[at]!.tokens);
    const bytes = Buffer.from(answer.data[0]!.b64_json!, "base64");
    const pixels = await sharp(bytes).removeAlpha().raw().toBuffer();
    expect(pixels.length).toBe(expected[at]!.pixels.length);
    let most = 0;
    for (const [index, value] of expected[at]!.pixels.entries())
      most = Math.max(most, Math.abs(value - pixels[index]!));
    // One step of 255: where 32 and 64 bits round to different sides. Half precision rounds at every step on the way.
    expect(most).toBeLessThanOrEqual(change.half ? 4 : 1);
  });

  test("the images are not all alike: a comparison that could not fail would prove nothing", () => {
    const [one, , three] = expected;
    const different = one!.pixels.filter((value, at) => Math.abs(value - three!.pixels[at]!) > 3).length;
    expect(different).toBeGreaterThan(one!.pixels.length / 10);
  });
});
