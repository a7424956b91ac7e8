// Texts to images, the half in the HTTP thread: reads calls, walks the steps from noise to image, and writes answers. Each
// step is a job of its own, so that requests take turns.

import { randomBytes } from "node:crypto";
import {
  ApiError,
  bodyOfForm,
  completedImageEvent,
  type DiffusionCard,
  dimensionsOf,
  encoderQualityOf,
  errorBody,
  formatOf,
  ImageEditRequest,
  type ImageRequest,
  type ImagesAnswer,
  type ImageTask,
  type ImageTraits,
  imageTokensOf,
  imageUsageOf,
  inBandError,
  parseImageEdit,
  parseImageGeneration,
  parseJsonObject,
  partialImageEvent,
  qualityOf,
  readWrittenForm,
  SSE_HEADERS,
  unixSeconds,
} from "@oxbow/contract";
import { errorOf, refuseOtherModels, type Served } from "@oxbow/worker";
import { readJson } from "../weights.ts";
import type { DenoiseInput, DiffusionInfo, Numbers, TextInput, TextOutput } from "./diffusion-jobs.ts";
import { createNoise } from "./diffusion-noise.ts";
import { pixelsOf, putBack, readImage, readMask, type Start, shrinkMask, write } from "./diffusion-pictures.ts";
import { createSchedule, readScheduler } from "./diffusion-schedule.ts";
import { createPrompts } from "./diffusion-text.ts";
import type { Host } from "./family.ts";

/** For models of which data/models.yaml says nothing. */
const CARD: DiffusionCard = { steps: { low: 10, medium: 20, high: 40 }, guidance: 7.5 };

/** What an edit starts from. */
interface Before extends Start {
  latents: Numbers;
  mask: Uint8Array | null;
}

export async function openRoutes({ model, folder, inference, info, log }: Host): Promise<Served> {
  const { channels, factor, large, guidanceWidth, edits } = info as DiffusionInfo;
  const card = model.diffusion ?? CARD;
  const scheduler = readScheduler(readJson(folder, "scheduler/scheduler_config.json") ?? {});
  const prompts = [createPrompts(folder, "tokenizer"), ...(large ? [createPrompts(folder, "tokenizer_2")] : [])];
  const zeroes = readJson(folder, "model_index.json")?.force_zeros_for_empty_prompt === true;
  let painted = 0;
  let stepsDone = 0;

  /** The prompt, and before it what is not wanted, when the model is to be pulled from one to the other. */
  async function textOf(call: ImageRequest, both: boolean, signal: AbortSignal): Promise<TextOutput> {
    const negative = call.negative_prompt ?? "";
    const ids: TextInput["ids"] = prompts.map(({ encode }) => [
      ...(both ? [encode(negative, "negative_prompt")] : []),
      encode(call.prompt, "prompt"),
    ]);
    const text = await inference.run<TextOutput>("text", { ids }, { signal });
    if (both && large && zeroes && negative === "") {
      // Such models have learnt that nothing is wanted as nothing at all.
      text.hidden.values.fill(0, 0, text.hidden.values.length / 2);
      text.pooled!.values.fill(0, 0, text.pooled!.values.length / 2);
    }
    return text;
  }

  async function decode(latents: Numbers, signal: AbortSignal) {
    return pixelsOf(await inference.run<Numbers>("decode", latents, { signal }));
  }

  /**
   * One image.
   * @param onLook gets what it looks like on its way, `looks` times
   */
  async function paint(
    call: ImageRequest,
    text: TextOutput,
    { width, height, seed, before }: { width: number; height: number; seed: number; before: Before | null },
    looks: number,
    onLook: (latents: Numbers) => Promise<void>,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const dims = [1, channels, height / factor, width / factor];
    const size = dims.reduce((product, each) => product * each, 1);
    const steps = call.steps ?? card.steps[qualityOf(call)];
    const guidance = call.guidance_scale ?? card.guidance;
    const schedule = createSchedule(scheduler, steps);
    const chance = createNoise(seed);
    const noise = chance.normals(size);
    const count = schedule.timesteps.length;
    const strength = call.strength ?? (before?.mask ? 1 : 0.8);
    const first = before ? count - Math.min(Math.floor(count * strength), count) : 0;
    const mask = before?.mask ? shrinkMask(before.mask, width, height, factor) : null;
    const both = text.hidden.dims[0] === 2;

    let image: Float32Array = before
      ? schedule.noised(before.latents.values, noise, first)
      : noise.map((value) => value * schedule.startScale);
    for (let at = first; at < count; at++) {
      const seen = schedule.scale(image, at);
      const sample = { values: both ? twice(seen) : seen, dims: both ? [2, ...dims.slice(1)] : dims };
      const input: DenoiseInput = {
        sample,
        timestep: schedule.timesteps[at]!,
        text,
        timeIds: large ? timeIdsOf(width, height, both ? 2 : 1) : null,
        guidance: guidanceWidth === null ? null : guidanceOf(guidance - 1, guidanceWidth),
      };
      const { values } = await inference.run<Numbers>("denoise", input, { signal });
      stepsDone++;
      const said = both ? pulled(values, guidance) : values;
      if (lookAt(at - first, count - first, looks)) {
        await onLook({ values: schedule.guess(image, said, at), dims });
      }
      image = schedule.step(image, said, at, () => chance.normals(size));
      if (mask && before) {
        const kept = schedule.noised(before.latents.values, noise, at + 1);
        image = image.map((value, index) => (mask[index % mask.length] ? value : kept[index]!));
      }
    }
    const { pixels } = await decode({ values: image, dims }, signal);
    if (before?.mask) putBack(pixels, before.pixels, before.mask);
    painted++;
    return pixels;
  }

  async function answer(task: ImageTask, call: ImageRequest, files: Files, signal: AbortSignal): Promise<Response> {
    refuseOtherModels(model, call.model);
    const { width, height } = dimensionsOf(call.size ?? "") ?? { width: 512, height: 512 };
    if (width % factor !== 0 || height % factor !== 0) {
      const said = `Invalid value: '${call.size}'. Sides must be multiples of ${factor}.`;
      throw new ApiError("invalid_value", said, { param: "size" });
    }
    const guidance = call.guidance_scale ?? card.guidance;
    const text = await textOf(call, guidance > 1 && guidanceWidth === null, signal);
    const before = task === "image_edit" ? await beforeOf(files, width, height, signal) : null;
    const n = call.n ?? 1;
    const seed = call.seed ?? randomBytes(4).readUInt32LE();
    const traits: ImageTraits = {
      size: `${width}x${height}`,
      quality: qualityOf(call),
      background: "opaque",
      output_format: formatOf(call),
    };
    const textTokens = prompts[0]!.count(call.prompt);
    const imagesIn = before ? imageTokensOf(width, height) : 0;
    const usage = (count: number) =>
      imageUsageOf({ text: textTokens, imagesIn, imagesOut: count * imageTokensOf(width, height) });
    const created = unixSeconds();
    const encoded = (pixels: Uint8Array) => write(pixels, width, height, traits.output_format, encoderQualityOf(call));
    const one = (index: number, onLook: (latents: Numbers) => Promise<void>, hangUp: AbortSignal) => {
      const canvas = { width, height, seed: seed + index, before };
      return paint(call, text, canvas, call.stream ? (call.partial_images ?? 0) : 0, onLook, hangUp);
    };

    if (call.stream) {
      return stream(signal, async (send, hangUp) => {
        for (let index = 0; index < n; index++) {
          let looks = 0;
          const onLook = async (latents: Numbers) => {
            const { pixels } = await decode(latents, hangUp);
            send(partialImageEvent(task, traits, created, looks++, await encoded(pixels)));
          };
          const pixels = await one(index, onLook, hangUp);
          send(completedImageEvent(task, traits, created, usage(1), await encoded(pixels)));
        }
      });
    }
    const data: ImagesAnswer["data"] = [];
    for (let index = 0; index < n; index++) {
      data.push({ b64_json: await encoded(await one(index, async () => {}, signal)) });
    }
    return Response.json({ created, data, ...traits, usage: usage(n) } satisfies ImagesAnswer);
  }

  async function beforeOf(
    { images, mask }: Files,
    width: number,
    height: number,
    signal: AbortSignal,
  ): Promise<Before> {
    if (!edits) {
      const said = `The model \`${model.id}\` cannot edit: its encoder of images is not there.`;
      throw new ApiError("unsupported_parameter", said, { param: "image" });
    }
    if (images.length !== 1) {
      const said = `The model \`${model.id}\` starts from one image, but got ${images.length}.`;
      throw new ApiError("unsupported_value", said, { param: "image" });
    }
    const start = await readImage(images[0]!, width, height);
    const latents = await inference.run<Numbers>("encode", start.image, { signal });
    return { ...start, latents, mask: mask ? await readMask(mask, width, height) : null };
  }

  /** Events as they come; a failure is told in the last one. */
  function stream(
    caller: AbortSignal,
    run: (send: (event: string) => void, hangUp: AbortSignal) => Promise<void>,
  ): Response {
    const gone = new AbortController();
    const hangUp = AbortSignal.any([caller, gone.signal]);
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        // Not awaited: the headers go out at once, and with them the news that it has begun.
        run((event) => controller.enqueue(encoder.encode(event)), hangUp)
          .catch((error) => {
            if (hangUp.aborted) return;
            controller.enqueue(encoder.encode(inBandError(errorBody(errorOf(error, log)))));
          })
          .finally(() => hangUp.aborted || controller.close());
      },
      cancel: () => gone.abort(),
    });
    return new Response(body, { headers: SSE_HEADERS });
  }

  return {
    routes: {
      "/v1/images/generations": async (request) => {
        const call = parseImageGeneration(parseJsonObject(await request.bytes()));
        return answer("image_generation", call, { images: [], mask: null }, request.signal);
      },
      "/v1/images/edits": async (request) => {
        const form = await readWrittenForm(request);
        const call = parseImageEdit(bodyOfForm(form, ImageEditRequest));
        const named = (name: string) => form.files.filter((file) => file.name === name).map(({ bytes }) => bytes);
        return answer("image_edit", call, { images: named("image"), mask: named("mask")[0] ?? null }, request.signal);
      },
    },
    samples: () => [
      { type: "counter", name: "images_total", help: "Images painted.", value: painted },
      { type: "counter", name: "denoising_steps_total", help: "Steps on the way to them.", value: stepsDone },
    ],
  };
}

interface Files {
  images: Uint8Array[];
  mask: Uint8Array | null;
}

function twice(values: Float32Array): Float32Array {
  const both = new Float32Array(2 * values.length);
  both.set(values);
  both.set(values, values.length);
  return both;
}

/** Away from what is not wanted, towards what is, and beyond. */
function pulled(values: Float32Array, guidance: number): Float32Array {
  const half = values.length / 2;
  const out = new Float32Array(half);
  for (let at = 0; at < half; at++) out[at] = values[at]! + guidance * (values[half + at]! - values[at]!);
  return out;
}

/** Whether there is something to look at after this step: `looks` times, evenly, and never at the last. */
function lookAt(at: number, count: number, looks: number): boolean {
  for (let look = 1; look <= looks; look++) {
    if (at === Math.floor((look * count) / (looks + 1)) && at < count - 1) return true;
  }
  return false;
}

/** As such models were told in training: the size of the picture, where it was cut, the size that is wanted. */
function timeIdsOf(width: number, height: number, batch: number): Numbers {
  const one = [height, width, 0, 0, height, width];
  return { values: Float32Array.from({ length: 6 * batch }, (_, at) => one[at % 6]!), dims: [batch, 6] };
}

/** The number as waves, as `get_guidance_scale_embedding` of the LCM pipeline does it. */
function guidanceOf(guidance: number, width: number): Numbers {
  const half = width / 2;
  const step = Math.log(10_000) / (half - 1);
  const values = new Float32Array(width);
  for (let at = 0; at < half; at++) {
    const angle = guidance * 1000 * Math.exp(-step * at);
    values[at] = Math.sin(angle);
    values[at + half] = Math.cos(angle);
  }
  return { values, dims: [1, width] };
}
