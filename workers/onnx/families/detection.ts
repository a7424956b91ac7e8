// Objects in images, the half in the HTTP thread: reads calls, decodes their images, and writes answers. What a look at an
// image computes is in detection-jobs.ts.

import {
  ApiError,
  classesWanted,
  DETECTIONS_DEFAULT,
  type DetectionAnswer,
  detectionOf,
  newId,
  parseDetectionRequest,
  parseJsonObject,
  THRESHOLD_DEFAULT,
  unixSeconds,
} from "@oxbow/contract";
import { refuseOtherModels, type Served } from "@oxbow/worker";
import sharp from "sharp";
import type { DetectInput, DetectOutput } from "./detection-jobs.ts";
import type { Host } from "./family.ts";

/** The gateway's bound is lower: this one only keeps nonsense out of memory. */
const PIXELS_MAX = 268_402_689;

export async function openRoutes({ model, inference, slots }: Host): Promise<Served> {
  const { classes } = model.detection!;
  // Several images are decoded at the same time already.
  sharp.concurrency(1);
  sharp.cache(false);
  let pixelsSeen = 0;
  let waiting = 0;

  async function detect(request: Request): Promise<Response> {
    const call = parseDetectionRequest(parseJsonObject(await request.bytes()));
    refuseOtherModels(model, call.model);
    const classIds = classesWanted(call, classes);
    const { data, info } = await decode(call.image);
    const { width, height } = info;
    const input: DetectInput = {
      pixels: data,
      width,
      height,
      threshold: call.threshold ?? THRESHOLD_DEFAULT,
      most: call.max_detections ?? DETECTIONS_DEFAULT,
      classIds,
    };
    waiting++;
    const options = { signal: request.signal, transfer: [data.buffer] };
    const found = await inference.run<DetectOutput>("detect", input, options).finally(() => waiting--);
    pixelsSeen += width * height;
    const answer: DetectionAnswer = {
      id: newId("det_"),
      object: "image.detections",
      created: unixSeconds(),
      model: model.id,
      image: { width, height },
      data: found.map(({ classId, score, box }) => detectionOf(classes[classId]!, score, box)),
      usage: { images: 1, pixels: width * height },
    };
    return Response.json(answer);
  }

  return {
    routes: { "/v1/images/detections": detect },
    samples: () => [
      { type: "gauge", name: "inputs_waiting", help: "Images waiting for a look.", value: Math.max(0, waiting - 1) },
      { type: "gauge", name: "slots", help: "Requests that may run at the same time.", value: slots },
      { type: "counter", name: "pixels_total", help: "Pixels of images.", value: pixelsSeen },
    ],
  };
}

/** Red, green and blue as they are meant to be seen; what is transparent shows its colour, as the originals read it. */
async function decode(image: string) {
  const base64 = /^data:[^,]*;base64,(.*)$/s.exec(image)?.[1];
  if (base64 === undefined) {
    const text = "The worker takes images as data: URLs in base64 alone.";
    throw new ApiError("invalid_base64_image", text, { param: "image" });
  }
  try {
    const { data, info } = await sharp(Buffer.from(base64, "base64"), { limitInputPixels: PIXELS_MAX, pages: 1 })
      .autoOrient()
      .toColourspace("srgb")
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    // Buffers of sharp may be parts of larger ones, which cannot be handed over.
    return { data: new Uint8Array(data), info };
  } catch (cause) {
    throw new ApiError("image_parse_error", "The image could not be decoded.", { param: "image", cause });
  }
}
