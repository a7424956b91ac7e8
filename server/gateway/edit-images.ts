// The images that an edit starts from: read from a form or from JSON, made safe like every image of a stranger, and written
// as a form again, which is what engines of every kind read.

import {
  ApiError,
  bodyOfForm,
  EDIT_IMAGES_MAX,
  type Form,
  type FormFile,
  ImageEditRequest,
  parseImageEdit,
  writeForm,
} from "@oxbow/contract";
import type { SafeImage } from "../media/media.ts";
import { readJson } from "./body.ts";
import type { Prepared } from "./call.ts";
import type { Exchange } from "./exchange.ts";
import { readForm } from "./form.ts";
import { PRIVATE_FIELDS } from "./forward.ts";
import { at, type Budget, budgetOf, bytesOfUrl } from "./images.ts";

/** An image as it was given, and the field that holds it. */
interface Source {
  field: string;
  bytes?: Uint8Array;
  url?: string;
}

export interface Edit {
  /** Fields of the form, or the JSON. */
  body: Record<string, unknown>;
  images: Source[];
  mask: Source | null;
  /** The same for the same call, however its form was cut into parts. */
  received: Uint8Array;
}

/** @throws ApiError for a body that is none, and for an edit without an image */
export async function readEdit(exchange: Exchange): Promise<Edit> {
  const type = exchange.request.headers.get("content-type") ?? "";
  return /^\s*multipart\//i.test(type) ? editOfForm(exchange) : editOfJson(exchange);
}

async function editOfForm(exchange: Exchange): Promise<Edit> {
  const form = await readForm(exchange, { bytesMax: exchange.rooms.limits.bodyBytesMax });
  const body = bodyOfForm(form, ImageEditRequest);
  const named = (name: string) => form.files.filter((file) => file.name === name);
  const images = named("image");
  if (images.length === 0) throw missing("image");
  if (images.length > EDIT_IMAGES_MAX) throw tooMany("image", images.length);
  const [mask] = named("mask");
  return {
    body,
    images: images.map(({ bytes }, index) => ({ field: images.length > 1 ? `image[${index}]` : "image", bytes })),
    mask: mask ? { field: "mask", bytes: mask.bytes } : null,
    received: writeForm(form, ImageEditRequest).bytes,
  };
}

async function editOfJson(exchange: Exchange): Promise<Edit> {
  const { bytes, body } = await readJson(exchange);
  const { images, mask } = parseImageEdit(body);
  if (!images) throw missing("images");
  const sourceOf = (ref: { image_url?: string | null; file_id?: string | null }, field: string): Source => {
    if (ref.file_id != null) {
      const text = `Unsupported parameter: '${field}.file_id' is not supported: no files are stored here. Use 'image_url'.`;
      throw new ApiError("unsupported_parameter", text, { param: `${field}.file_id` });
    }
    if (ref.image_url == null) throw missing(`${field}.image_url`);
    return { field: `${field}.image_url`, url: ref.image_url };
  };
  return {
    body,
    images: images.map((ref, index) => sourceOf(ref, `images[${index}]`)),
    mask: mask ? sourceOf(mask, "mask") : null,
    received: bytes,
  };
}

/**
 * The form for the engine.
 * @param asked fields to set in place of the caller's; undefined: to leave out
 * @throws ApiError that names the image's field
 */
export async function takeEdit(
  exchange: Exchange,
  edit: Edit,
  asked: Record<string, string | undefined>,
  signal: AbortSignal,
): Promise<Prepared> {
  const budget = budgetOf(exchange);
  const files: FormFile[] = [];
  let pixels = 0;
  let size = "";
  // One after another: an edit has one image, or few.
  for (const source of [...edit.images, ...(edit.mask ? [edit.mask] : [])]) {
    const image = await makeSafe(exchange, source, budget, signal);
    if (source === edit.mask && `${image.width}x${image.height}` !== size) {
      const text = `The mask is ${image.width}x${image.height} pixels large and the image ${size}: they must be alike.`;
      throw new ApiError("invalid_combination", text, { param: source.field });
    }
    size ||= `${image.width}x${image.height}`;
    pixels += image.width * image.height;
    const name = source === edit.mask ? "mask" : "image";
    files.push({ name, filename: `${name}.png`, contentType: "image/png", bytes: image.bytes });
  }
  const form: Form = { fields: fieldsOf(edit.body, asked), files };
  return {
    instead: null,
    form: writeForm(form, ImageEditRequest),
    measures: [{ limit: "imagePixelsMax", amount: pixels, field: edit.images[0]!.field }],
  };
}

async function makeSafe(
  { rooms: { media, limits } }: Exchange,
  { field, bytes, url }: Source,
  budget: Budget,
  signal: AbortSignal,
): Promise<SafeImage> {
  try {
    const given = bytes ?? (await bytesOfUrl(media, url!, limits.imageBytesMax, budget, signal));
    const { imageBytesMax: bytesMax, imagePixelsMax: pixelsMax } = limits;
    const image = await media.image(given, {
      bytesMax,
      pixelsMax,
      sideMax: SIDE_MAX,
      to: "png",
      owner: budget.owner,
      signal,
    });
    budget.take(image.bytes.length);
    return image;
  } catch (error) {
    throw at(error, field);
  }
}

/** More than any model looks at: what is larger only costs time. */
const SIDE_MAX = 4_096;

/** What of the caller's fields goes on, as a form has them: scalars, and nothing that lets him reach inside. */
function fieldsOf(body: Record<string, unknown>, asked: Record<string, string | undefined>): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  for (const [name, value] of Object.entries({ ...body, ...asked })) {
    if (value === null || value === undefined || typeof value === "object" || PRIVATE_FIELDS.includes(name)) continue;
    fields.set(name, [String(value)]);
  }
  return fields;
}

function missing(param: string): ApiError {
  return new ApiError("missing_required_parameter", `Missing required parameter: '${param}'.`, { param });
}

function tooMany(param: string, count: number): ApiError {
  const text = `Invalid '${param}': array too long. Expected an array with maximum length ${EDIT_IMAGES_MAX}, but got an array with length ${count} instead.`;
  return new ApiError("array_above_max_length", text, { param });
}
