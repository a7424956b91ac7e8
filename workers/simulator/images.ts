// POST /v1/images/generations and /v1/images/edits: images that are made up, of the right size and format, and always the
// same for the same request.

import {
  ApiError,
  canvasOf,
  completedImageEvent,
  encoderQualityOf,
  type Form,
  type FormFile,
  formatOf,
  type ImageRequest,
  type ImagesAnswer,
  type ImageTask,
  type ImageTraits,
  imageTokensOf,
  imageUsageOf,
  parseImageEdit,
  parseImageGeneration,
  partialImageEvent,
  qualityOf,
  unixSeconds,
} from "@oxbow/contract";
import type { Ask } from "./ask.ts";
import { measure } from "./media.ts";
import { paint } from "./painting.ts";
import { hashText } from "./random.ts";
import { respond } from "./respond.ts";
import { encode } from "./tokenizer.ts";

export function imageGenerations(ask: Ask): Promise<Response> {
  return answer(ask, "image_generation", parseImageGeneration(ask.body), []);
}

/** The images it starts from decide what comes out, and are not looked at otherwise. */
export function imageEdits(ask: Ask, { files }: Form): Promise<Response> {
  const given = files.filter(({ name }) => name === "image" || name === "mask");
  return answer(ask, "image_edit", parseImageEdit(ask.body), given);
}

async function answer(ask: Ask, task: ImageTask, call: ImageRequest, files: FormFile[]): Promise<Response> {
  const { model, engine, body, simulation, signal } = ask;
  const given = files.map(({ bytes }) => bytes);
  const prompt = encode(call.prompt);
  const { seed = 1, partial_images: partials = 0 } = call;
  const { width, height, n } = canvasOf(call, model);
  if (model.diffusion) refuseOfDiffusion(call, model.id, files);
  const job = await engine.admit({ model, prompts: [prompt], tokensMax: undefined, body, simulation, signal });
  try {
    const subject = hashText([call.prompt, ...given.map((bytes) => Bun.hash(bytes).toString())].join("\n"));
    const format = formatOf(call);
    const one = (index: number, detail: number) =>
      paint({ subject: subject + seed + index, width, height, detail, format, quality: encoderQualityOf(call) });
    const images = await Promise.all(Array.from({ length: n }, (_, index) => one(index, 1)));
    const sketches = call.stream
      ? await Promise.all(
          images.map((_, index) => Promise.all(detailsOf(partials).map((detail) => one(index, detail)))),
        )
      : [];
    const traits: ImageTraits = {
      size: `${width}x${height}`,
      quality: qualityOf(call),
      background: "opaque",
      output_format: format,
    };
    const created = unixSeconds();
    const imagesIn = given.reduce((sum, bytes) => sum + tokensOf(bytes), 0);
    const usage = (count: number) =>
      imageUsageOf({ text: prompt.length, imagesIn, imagesOut: count * imageTokensOf(width, height) });

    function* events(): Generator<string> {
      for (const [index, image] of images.entries()) {
        for (const [at, sketch] of sketches[index]!.entries())
          yield partialImageEvent(task, traits, created, at, sketch);
        yield completedImageEvent(task, traits, created, usage(1), image);
      }
    }
    const whole = (): ImagesAnswer => ({
      created,
      data: images.map((b64_json) => ({ b64_json })),
      ...traits,
      usage: usage(n),
    });
    const { input_tokens, output_tokens } = usage(n);
    const counts = { prompt_tokens: input_tokens, completion_tokens: output_tokens };
    const course = {
      stream: call.stream ?? false,
      steps: n * (partials + 1),
      finish: "stop",
      end: "",
      wantsUsage: false,
    };
    return await respond({ ...course, events, whole, usage: counts }, job, simulation.fault ?? null);
  } catch (error) {
    job.end("error", 0);
    throw error;
  }
}

/** Of every text encoder of Stable Diffusion, without the two that stand around a prompt. */
const PROMPT_TOKENS_MAX = 75;
/** What never shares a token with its neighbours, so that a prompt has at least as many tokens as it has of these. */
const LEAST_TOKENS = /\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;

/**
 * What a diffusion model on this machine would refuse, as far as it can be told without its tokenizer.
 * @throws ApiError as the onnx worker does
 */
function refuseOfDiffusion(call: ImageRequest, id: string, files: readonly FormFile[]): void {
  for (const field of ["prompt", "negative_prompt"] as const) {
    const tokens = call[field]?.match(LEAST_TOKENS)?.length ?? 0;
    if (tokens <= PROMPT_TOKENS_MAX) continue;
    const text = `The model reads ${PROMPT_TOKENS_MAX} tokens of a prompt, but '${field}' has at least ${tokens}. Please shorten it.`;
    throw new ApiError("context_length_exceeded", text, { param: field });
  }
  const images = files.filter(({ name }) => name === "image").length;
  if (images <= 1) return;
  const text = `The model \`${id}\` starts from one image, but got ${images}.`;
  throw new ApiError("unsupported_value", text, { param: "image" });
}

/** Coarse first: what a picture looks like on its way. */
function detailsOf(partials: number): number[] {
  return Array.from({ length: partials }, (_, index) => (index + 1) / (partials + 1));
}

function tokensOf(bytes: Uint8Array): number {
  const size = measure(Buffer.from(bytes));
  return size ? imageTokensOf(size.width, size.height) : 0;
}
