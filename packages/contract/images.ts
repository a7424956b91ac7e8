// POST /images/generations and /images/edits: requests, answers and events. Sizes are free here, because what a model can
// paint is its own affair (data/models.yaml); the rest is OpenAI's.
// Source: openai-openapi 2.3.0, `CreateImageRequest`, `CreateImageEditRequest`, `EditImageBodyJsonParam`, `ImagesResponse` and
// the image events, read 2026-11-21.

import Type, { type Static, type TProperties } from "typebox";
import { maybe, Seed } from "./chat.ts";
import { ApiError } from "./errors.ts";
import { IMAGE_OUTPUTS, type ImageOutput } from "./media.ts";
import { createParser } from "./validate.ts";

const PROMPT_CHARS_MAX = 32_000;
const IMAGES_MAX = 10;
/** Of one edit. */
export const EDIT_IMAGES_MAX = 16;

const COMMON = {
  model: Type.String({ minLength: 1 }),
  prompt: Type.String({ minLength: 1, maxLength: PROMPT_CHARS_MAX }),
  n: Type.Optional(Type.Integer({ minimum: 1, maximum: IMAGES_MAX })),
  size: Type.Optional(Type.String({ pattern: "^(auto|[1-9]\\d{1,4}x[1-9]\\d{1,4})$" })),
  quality: Type.Optional(Type.Enum(["auto", "low", "medium", "high", "standard", "hd"])),
  background: Type.Optional(Type.Enum(["auto", "opaque", "transparent"])),
  response_format: Type.Optional(Type.Enum(["url", "b64_json"])),
  output_format: Type.Optional(Type.Enum([...IMAGE_OUTPUTS])),
  output_compression: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
  stream: Type.Optional(Type.Boolean()),
  partial_images: Type.Optional(Type.Integer({ minimum: 0, maximum: 3 })),
  moderation: Type.Optional(Type.Enum(["low", "auto"])),
  user: Type.Optional(Type.String()),
  /** Not OpenAI's: the same seed and request give the same image, where the engine can. */
  seed: Type.Optional(Seed),
  /** Nor are these: what people who know diffusion models turn. Engines that have no such handles refuse them. */
  negative_prompt: Type.Optional(Type.String({ maxLength: PROMPT_CHARS_MAX })),
  steps: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
  guidance_scale: Type.Optional(Type.Number({ minimum: 0, maximum: 50 })),
  strength: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
} satisfies TProperties;

export const ImageGenerationRequest = Type.Object({
  ...COMMON,
  style: Type.Optional(Type.Enum(["vivid", "natural"])),
});
export type ImageGenerationRequest = Static<typeof ImageGenerationRequest>;

const ImageRef = Type.Object({ image_url: maybe(Type.String()), file_id: maybe(Type.String()) });

/** As JSON. In a form the images are files, and all else is the same. */
export const ImageEditRequest = Type.Object({
  ...COMMON,
  images: Type.Optional(Type.Array(ImageRef, { minItems: 1, maxItems: EDIT_IMAGES_MAX })),
  mask: Type.Optional(ImageRef),
  input_fidelity: Type.Optional(Type.Enum(["high", "low"])),
});
export type ImageEditRequest = Static<typeof ImageEditRequest>;

export type ImageRequest = ImageGenerationRequest | ImageEditRequest;

const parseGeneration = createParser(ImageGenerationRequest);
const parseEdit = createParser(ImageEditRequest);

/** @throws ApiError naming the first bad field */
export function parseImageGeneration(body: Record<string, unknown>): ImageGenerationRequest {
  const call = parseGeneration(body);
  if (call.strength !== undefined) {
    const text = "'strength' says how much of an image is changed, and there is none here to start from.";
    throw new ApiError("invalid_combination", text, { param: "strength" });
  }
  refuseContradictions(call);
  return call;
}

/** @throws ApiError naming the first bad field */
export function parseImageEdit(body: Record<string, unknown>): ImageEditRequest {
  const call = parseEdit(body);
  refuseContradictions(call);
  return call;
}

function refuseContradictions(call: ImageRequest): void {
  const refuse = (text: string, param: string) => new ApiError("invalid_combination", text, { param });
  if (call.partial_images && !call.stream) {
    throw refuse("The 'partial_images' parameter is only allowed when 'stream' is enabled.", "partial_images");
  }
  if (call.stream && call.response_format === "url") {
    throw refuse("Events carry images as base64: 'response_format' cannot be 'url' with 'stream'.", "response_format");
  }
  if (call.output_compression !== undefined && call.output_compression < 100 && formatOf(call) === "png") {
    throw refuse("'output_compression' is only allowed when 'output_format' is jpeg or webp.", "output_compression");
  }
}

export function formatOf(call: ImageRequest): ImageOutput {
  return call.output_format ?? "png";
}

/** Quality of an encoder, 1 to 100; the API calls it compression, and 100 is the best. */
export function encoderQualityOf({ output_compression = 100 }: ImageRequest): number {
  return Math.max(1, output_compression);
}

/** `1024x768` in numbers; null for what is no size. */
export function dimensionsOf(size: string): { width: number; height: number } | null {
  const [, width, height] = /^([1-9]\d{1,4})x([1-9]\d{1,4})$/.exec(size) ?? [];
  return width === undefined || height === undefined ? null : { width: Number(width), height: Number(height) };
}

/** Which sizes a model paints, in pixels. */
export interface ImagesCard {
  /** What `auto` means. */
  size: string;
  sideMin: number;
  sideMax: number;
  sideStep: number;
}

/** For models of which data/models.yaml says nothing. */
const IMAGES: ImagesCard = { size: "1024x1024", sideMin: 256, sideMax: 2_048, sideStep: 8 };

export interface Canvas {
  /** Of each image, in pixels. */
  width: number;
  height: number;
  n: number;
}

/**
 * How large the images of a call are, and how many: what was asked for, held against what the model can paint.
 * @throws ApiError `invalid_value` that says which sizes the model has
 */
export function canvasOf(
  { size = "auto", n = 1 }: ImageRequest,
  { id, images = IMAGES }: { id: string; images?: ImagesCard },
): Canvas {
  const { sideMin, sideMax, sideStep } = images;
  const found = dimensionsOf(size === "auto" ? images.size : size)!;
  const fits = (side: number) => side >= sideMin && side <= sideMax && side % sideStep === 0;
  if (fits(found.width) && fits(found.height)) return { ...found, n };
  const text = `Invalid value: '${size}'. The model \`${id}\` paints images with sides from ${sideMin} to ${sideMax} pixels that are multiples of ${sideStep}; '${images.size}' is what 'auto' means.`;
  throw new ApiError("invalid_value", text, { param: "size" });
}

export type ImageQuality = "low" | "medium" | "high";

/** The older names mean the two upper of three. */
export function qualityOf({ quality = "auto" }: ImageRequest): ImageQuality {
  if (quality === "hd") return "high";
  return quality === "auto" || quality === "standard" ? "medium" : quality;
}

/** How a diffusion model is run, as data/models.yaml says it. */
export interface DiffusionCard {
  /** By quality. */
  steps: Record<ImageQuality, number>;
  /** How strongly the text pulls; 1 and less: it does not, which takes half the time. */
  guidance: number;
}

export interface ImageUsage {
  total_tokens: number;
  input_tokens: number;
  output_tokens: number;
  input_tokens_details: { text_tokens: number; image_tokens: number };
}

/** An image counts one token for each 16 by 16 pixels begun: about what OpenAI's own count at high quality. */
export function imageTokensOf(width: number, height: number): number {
  return Math.ceil(width / 16) * Math.ceil(height / 16);
}

export function imageUsageOf(counts: { text: number; imagesIn: number; imagesOut: number }): ImageUsage {
  const { text, imagesIn, imagesOut } = counts;
  return {
    total_tokens: text + imagesIn + imagesOut,
    input_tokens: text + imagesIn,
    output_tokens: imagesOut,
    input_tokens_details: { text_tokens: text, image_tokens: imagesIn },
  };
}

/** What all images of a call have in common, as answers and events say it. */
export interface ImageTraits {
  size: string;
  quality: ImageQuality;
  background: "opaque" | "transparent";
  output_format: ImageOutput;
}

export interface ImageData {
  b64_json?: string;
  url?: string;
  revised_prompt?: string;
}

export interface ImagesAnswer extends ImageTraits {
  created: number;
  data: ImageData[];
  usage?: ImageUsage;
}

/** The two endpoints, by the names that their events begin with. */
export type ImageTask = "image_generation" | "image_edit";

/** One state on the way to an image. @param created Unix seconds */
export function partialImageEvent(
  task: ImageTask,
  traits: ImageTraits,
  created: number,
  index: number,
  b64_json: string,
): string {
  return imageEvent({
    type: `${task}.partial_image`,
    b64_json,
    partial_image_index: index,
    created_at: created,
    ...traits,
  });
}

/** One finished image. @param usage of this image alone */
export function completedImageEvent(
  task: ImageTask,
  traits: ImageTraits,
  created: number,
  usage: ImageUsage,
  b64_json: string,
): string {
  return imageEvent({ type: `${task}.completed`, b64_json, created_at: created, ...traits, usage });
}

function imageEvent(data: { type: string } & Record<string, unknown>): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
