// One model of each family twice, under the same entry of the catalogue: on the real worker, and by the simulator.

import { join } from "node:path";
import { writeBert } from "../models/fixtures/bert.ts";
import { writeDiffusion } from "../models/fixtures/diffusion.ts";
import { KOKORO_VOICES, writeKokoro } from "../models/fixtures/kokoro.ts";
import { VISION_CONTEXT, writeVision } from "../models/fixtures/vision.ts";
import { writeWhisper } from "../models/fixtures/whisper.ts";
import { SMALL_YOLO, writeYolo } from "../models/fixtures/yolo.ts";
import { adminPlan } from "./data.ts";
import { dataWithOnnx, type OnnxModel } from "./onnx-data.ts";

const within = (write: (folder: string) => void) => (folder: string) => {
  write(folder);
  return folder;
};

const MODELS: Record<string, OnnxModel> = {
  text: {
    write: within(writeBert),
    entry: {
      category: "embeddings",
      contextTokens: 64,
      dimensions: 64,
      embedding: { pooling: "mean", matryoshka: [16, 32] },
    },
  },
  ear: {
    write: within(writeWhisper),
    entry: {
      category: "audio",
      capabilities: ["transcription", "translation"],
      transcription: { languages: ["en", "de", "fr", "es"] },
    },
  },
  mouth: {
    write: within(writeKokoro),
    entry: { category: "audio", capabilities: ["speech"], speech: { voices: KOKORO_VOICES } },
  },
  eye: {
    write: (folder) => {
      const file = join(folder, "yolo.onnx");
      writeYolo(file, { ...SMALL_YOLO, classes: 3, width: 64, height: 64 });
      return file;
    },
    entry: { category: "detection", detection: { classes: ["bottle", "cap", "label"] } },
  },
  eyes: {
    kind: "vision",
    write: (folder) => {
      writeVision(folder);
      return join(folder, "model.gguf");
    },
    entry: { category: "vision", capabilities: ["vision"], contextTokens: VISION_CONTEXT },
  },
  brush: {
    write: within(writeDiffusion),
    entry: {
      category: "images",
      capabilities: ["image_generation", "image_edits"],
      images: { size: "64x64", sideMin: 64, sideMax: 128, sideStep: 64 },
      diffusion: { steps: { low: 1, medium: 4, high: 5 }, guidance: 7.5 },
    },
  },
};

/** The same entry, which no engine but the simulator is for. */
export const twinOf = (model: string) => `simulated-${model}`;

/** @returns the folder for `OXBOW_DATA`, the ids of the real ones, and what removes everything */
export function openTwins() {
  const data = dataWithOnnx(MODELS, {
    plans: adminPlan({ requestsPerMinute: null }),
    models: (table) => {
      for (const id of Object.keys(MODELS)) table[twinOf(id)] = { ...table[id]!, name: twinOf(id) };
    },
  });
  return { ...data, models: MODELS };
}
