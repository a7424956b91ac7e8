// POST /v1/images/detections: boxes that are made up, inside of the image, and always the same for the same image.

import {
  ApiError,
  classesWanted,
  DETECTIONS_DEFAULT,
  type Detection,
  type DetectionAnswer,
  detectionOf,
  newId,
  parseDetectionRequest,
  THRESHOLD_DEFAULT,
  unixSeconds,
} from "@oxbow/contract";
import type { Ask } from "./ask.ts";
import { measure } from "./media.ts";
import { createRandom, type Random } from "./random.ts";
import { type Answer, respond } from "./respond.ts";

/** For models of which nobody has said what they know. */
const CLASSES = ["person", "car", "dog"];
const OBJECTS_MAX = 8;

/** @throws ApiError for every refusal; the signal's reason when the caller hangs up */
export async function detections({ body, model, engine, simulation, signal }: Ask): Promise<Response> {
  const call = parseDetectionRequest(body);
  if (model.category !== "detection") {
    const text = `Unsupported value: 'model'. \`${model.id}\` is a model for ${model.category} and does not look for objects.`;
    throw new ApiError("unsupported_value", text, { param: "model" });
  }
  const known = model.detection?.classes ?? CLASSES;
  const wanted = classesWanted(call, known);
  const bytes = Buffer.from(call.image.slice(call.image.indexOf(",") + 1), "base64");
  const size = measure(bytes);
  if (!size) throw new ApiError("image_parse_error", "The image could not be decoded.", { param: "image" });
  const job = await engine.admit({ model, prompts: [], tokensMax: undefined, body, simulation, signal });
  const { width, height } = size;
  const answer: Answer = {
    stream: false,
    steps: 1,
    events: () => [],
    whole(): DetectionAnswer {
      const seed = Number(Bun.hash(bytes) % 0x1_0000_0000n);
      const found = objectsIn(width, height, known, createRandom(seed)).filter(({ label, score }) => {
        return score >= (call.threshold ?? THRESHOLD_DEFAULT) && (wanted?.includes(known.indexOf(label)) ?? true);
      });
      return {
        id: newId("det_"),
        object: "image.detections",
        created: unixSeconds(),
        model: model.id,
        image: { width, height },
        data: found.slice(0, call.max_detections ?? DETECTIONS_DEFAULT),
        usage: { images: 1, pixels: width * height },
      };
    },
    finish: "stop",
    usage: { prompt_tokens: 0, completion_tokens: 0 },
    wantsUsage: false,
  };
  return respond(answer, job, simulation.fault ?? null);
}

/** The best first: scores fall from 0.95 on. */
function objectsIn(width: number, height: number, known: readonly string[], random: Random): Detection[] {
  return Array.from({ length: 1 + random.below(OBJECTS_MAX) }, (_, index) => {
    const [left, top] = [random.next() * 0.7 * width, random.next() * 0.7 * height];
    const [across, down] = [(0.1 + 0.2 * random.next()) * width, (0.1 + 0.2 * random.next()) * height];
    const score = 0.95 - 0.1 * index - 0.05 * random.next();
    return detectionOf(random.pick(known), score, [left, top, left + across, top + down]);
  });
}
