// The worker on a generated pipeline, over its socket: images as the gateway gets them.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ErrorBody, ImagesAnswer } from "@oxbow/contract";
import sharp from "sharp";
import { SCHEDULER, SMALL_DIFFUSION, writeDiffusion } from "../../models/fixtures/diffusion.ts";
import { createNoise } from "./families/diffusion-noise.ts";
import { createSchedule, readScheduler } from "./families/diffusion-schedule.ts";
import { spawnWorker, startWorker, type TestWorker, temporaryDirectory } from "./testing.ts";

const scratch = temporaryDirectory();
const folder = join(scratch.path, "sd");
const CARD = { steps: { low: 2, medium: 4, high: 6 }, guidance: 5 };
let worker: TestWorker;

beforeAll(async () => {
  writeDiffusion(folder);
  worker = await startWorker({ model: { id: "sd", category: "images", diffusion: CARD }, file: folder });
});
afterAll(async () => {
  await worker?.stop();
  scratch.remove();
});

const BODY = { model: "sd", prompt: "a red lighthouse", size: "128x64", seed: 1 };
const post = (body: object) => worker.post("/v1/images/generations", { ...BODY, ...body });
async function generate(body: object = {}): Promise<ImagesAnswer> {
  const answer = await post(body);
  expect(answer.status).toBe(200);
  return (await answer.json()) as ImagesAnswer;
}
const bytesOf = (answer: ImagesAnswer, at = 0) => Buffer.from(answer.data[at]!.b64_json!, "base64");
const rawOf = (bytes: Buffer) => sharp(bytes).removeAlpha().raw().toBuffer();
const hashOf = (answer: ImagesAnswer, at = 0) => Bun.hash(bytesOf(answer, at));

function formOf(fields: Record<string, string | number>, files: Record<string, Buffer[]>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, String(value));
  for (const [name, list] of Object.entries(files)) {
    for (const bytes of list)
      form.append(name, new Blob([new Uint8Array(bytes)], { type: "image/png" }), `${name}.png`);
  }
  return form;
}
const edit = (fields: Record<string, string | number>, files: Record<string, Buffer[]>) =>
  worker.post("/v1/images/edits", formOf({ ...BODY, ...fields }, files));
async function refusal(pending: Promise<Response>): Promise<[number, string | null, string | null]> {
  const answer = await pending;
  const { code, param } = ((await answer.json()) as ErrorBody).error;
  return [answer.status, code, param];
}

describe("images", () => {
  test("an image has the size that was asked for, and is in each format what it says", async () => {
    for (const output_format of ["png", "jpeg", "webp"] as const) {
      const answer = await generate({ output_format });
      const { width, height, format } = await sharp(bytesOf(answer)).metadata();
      expect([width, height, format, answer.output_format]).toEqual([128, 64, output_format, output_format]);
    }
  });

  test("the same seed is the same image; seed, prompt, size, steps, guidance and what is not wanted each change it", async () => {
    const same = hashOf(await generate());
    expect(hashOf(await generate())).toBe(same);
    const changes = [
      { seed: 2 },
      { prompt: "the sea at night" },
      { size: "64x64" },
      { steps: 9 },
      { quality: "high" },
      { guidance_scale: 1 },
      { guidance_scale: 9 },
      { negative_prompt: "blurry" },
    ];
    const others = await Promise.all(changes.map((change) => generate(change)));
    expect(new Set([same, ...others.map((other) => hashOf(other))]).size).toBe(changes.length + 1);
  });

  test("several images have seeds that follow each other", async () => {
    const three = await generate({ n: 3 });
    expect(three.data).toHaveLength(3);
    expect(hashOf(three, 2)).toBe(hashOf(await generate({ seed: 3 })));
  });

  test("without a seed, two images differ", async () => {
    const [one, two] = [await generate({ seed: undefined }), await generate({ seed: undefined })];
    expect(hashOf(one)).not.toBe(hashOf(two));
  });

  test("tokens of the prompt and of the image are counted", async () => {
    const { usage } = await generate({ n: 2, prompt: "a photo of" });
    expect(usage).toEqual({
      input_tokens: 3,
      output_tokens: 2 * 8 * 4,
      total_tokens: 3 + 64,
      input_tokens_details: { text_tokens: 3, image_tokens: 0 },
    });
  });

  test("a stream shows the image on its way, and the last event is the image", async () => {
    const answer = await post({ stream: true, partial_images: 2, quality: "high" });
    expect(answer.headers.get("content-type")).toStartWith("text/event-stream");
    const events = [...(await answer.text()).matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!));
    expect(events.map(({ type }) => type.split(".")[1])).toEqual(["partial_image", "partial_image", "completed"]);
    const whole = await generate({ quality: "high" });
    expect(events[2].b64_json).toBe(whole.data[0]!.b64_json);
    expect(events[0].b64_json).not.toBe(events[2].b64_json);
  });

  test("a prompt that is longer than the model reads is refused, never cut", async () => {
    const words = (count: number) => "sea ".repeat(count).trim();
    expect((await generate({ prompt: words(75) })).data).toHaveLength(1);
    expect(await refusal(post({ prompt: words(76) }))).toEqual([400, "context_length_exceeded", "prompt"]);
    const negative = { negative_prompt: words(76) };
    expect(await refusal(post(negative))).toEqual([400, "context_length_exceeded", "negative_prompt"]);
  });

  test("who hangs up stops the painting", async () => {
    const hangUp = new AbortController();
    const body = { ...BODY, size: "1024x1024", steps: 200 };
    const pending = worker.post("/v1/images/generations", body, { signal: hangUp.signal }).catch(() => "gone");
    await generate();
    hangUp.abort();
    expect(await pending).toBe("gone");
    const stepsOf = async () =>
      Number(/denoising_steps_total (\d+)/.exec(await (await worker.get("/metrics")).text())![1]);
    await generate();
    const after = await stepsOf();
    await generate();
    // Nothing but our own four steps has happened meanwhile.
    expect((await stepsOf()) - after).toBe(4);
  });
});

describe("edits", () => {
  const before = () =>
    sharp({ create: { width: 128, height: 64, channels: 3, background: "#2060c0" } })
      .png()
      .toBuffer();

  test("without strength chance plays no part; with it, the image changes", async () => {
    const image = await before();
    const of = async (strength: number, seed = 1) =>
      bytesOf((await (await edit({ strength, seed }, { image: [image] })).json()) as ImagesAnswer);
    const [none, some, all] = [await of(0), await of(0.5), await of(1)];
    const { width, height } = await sharp(none).metadata();
    expect([width, height]).toEqual([128, 64]);
    expect(Bun.hash(await of(0, 2))).toBe(Bun.hash(none));
    expect(Bun.hash(await of(0.5, 2))).not.toBe(Bun.hash(some));
    expect(Bun.hash(some)).not.toBe(Bun.hash(none));
    expect(Bun.hash(all)).not.toBe(Bun.hash(some));
  });

  test("only what is transparent in the mask changes, to the pixel", async () => {
    const image = await before();
    const alpha = Buffer.alloc(128 * 64 * 4, 255);
    for (let y = 10; y < 30; y++) for (let x = 50; x < 90; x++) alpha[4 * (y * 128 + x) + 3] = 0;
    const mask = await sharp(alpha, { raw: { width: 128, height: 64, channels: 4 } })
      .png()
      .toBuffer();
    const answer = await edit({}, { image: [image], mask: [mask] });
    expect(answer.status).toBe(200);
    const after = await rawOf(bytesOf((await answer.json()) as ImagesAnswer));
    const was = await rawOf(image);
    let changed = 0;
    for (let y = 0; y < 64; y++) {
      for (let x = 0; x < 128; x++) {
        const at = 3 * (y * 128 + x);
        const same = after.subarray(at, at + 3).equals(was.subarray(at, at + 3));
        const painted = y >= 10 && y < 30 && x >= 50 && x < 90;
        if (!painted) expect(same).toBe(true);
        else if (!same) changed++;
      }
    }
    expect(changed).toBeGreaterThan(700);
  });

  test("what cannot be edited is refused by its field", async () => {
    const image = await before();
    expect(await refusal(edit({}, { image: [image], mask: [image] }))).toEqual([400, null, "mask"]);
    expect(await refusal(edit({}, { image: [image, image] }))).toEqual([400, "unsupported_value", "image"]);
    expect(await refusal(edit({}, { image: [Buffer.from("no image")] }))).toEqual([400, "image_parse_error", "image"]);
  });
});

test("noise is what PyTorch draws on a processor for the same seed", () => {
  // torch.manual_seed(0); torch.randn(4, 4)
  const known = [
    -1.1258, -1.1524, -0.2506, -0.4339, 0.8487, 0.692, -0.316, -2.1152, 0.3223, -1.2633, 0.35, 0.3081, 0.1198, 1.2377,
    1.1168, -0.2473,
  ];
  const drawn = createNoise(0).normals(16);
  for (const [at, value] of known.entries()) expect(drawn[at]!).toBeCloseTo(value, 3);
});

test("steps stand where diffusers puts them", () => {
  const timesteps = (change: object, steps: number) =>
    createSchedule(readScheduler({ ...SCHEDULER, ...change }), steps).timesteps;
  expect(timesteps({}, 4)).toEqual([751, 501, 251, 1]);
  expect(timesteps({ timestep_spacing: "trailing", steps_offset: 0 }, 4)).toEqual([999, 749, 499, 249]);
  expect(timesteps({ timestep_spacing: "linspace", steps_offset: 0 }, 4)).toEqual([999, 666, 333, 0]);
  expect(timesteps({ _class_name: "LCMScheduler" }, 4)).toEqual([999, 759, 499, 259]);
});

test.each([
  [{ _class_name: "FlowMatchEulerDiscreteScheduler" }, "flow matching"],
  [{ prediction_type: "sample" }, "predicts sample"],
  [{ beta_schedule: "squaredcos_cap_v2" }, "noise schedule"],
])("a pipeline that is not understood is refused at its start: %p", async (change, words) => {
  const path = join(scratch.path, words.replace(" ", "-"));
  writeDiffusion(path, { ...SMALL_DIFFUSION, scheduler: { ...SCHEDULER, ...change } });
  const broken = spawnWorker({ model: { category: "images" }, file: path });
  try {
    expect(await broken.process.exited).toBe(65);
    expect(broken.log()).toContain(words);
  } finally {
    await broken.stop();
  }
});
