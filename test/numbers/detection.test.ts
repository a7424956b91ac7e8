// Our boxes against those of another implementation, on the same weights and the same images: the Python onnxruntime, and a
// letterbox and suppression written in numpy.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { Detection, DetectionAnswer } from "@oxbow/contract";
import sharp from "sharp";
import { SMALL_YOLO, writeYolo, type YoloShape } from "../../models/fixtures/yolo.ts";
import { startWorker, type TestWorker, temporaryDirectory } from "../../workers/onnx/testing.ts";
import { pythonWithModels } from "../python/venv.ts";
import { drawScene } from "../scene.ts";
import { reference } from "./reference.ts";

setDefaultTimeout(120_000);
const scratch = temporaryDirectory();
afterAll(() => scratch.remove());
beforeAll(() => void pythonWithModels(), 300_000);

/** Wide, high, tiny, as large as the square, larger, and odd in every way. */
const SIZES: [number, number][] = [
  [640, 640],
  [501, 333],
  [333, 501],
  [1280, 720],
  [1919, 1079],
  [97, 1201],
  [31, 17],
  [1, 1],
];
const CLASSES = Array.from({ length: 80 }, (_, index) => `class ${index}`);

interface Reference {
  width: number;
  height: number;
  found: { label: number; score: number; box: [number, number, number, number] }[];
}

const SHAPES: Record<string, { shape: YoloShape; overlapMax: number; threshold: number }> = {
  "all candidates": { shape: SMALL_YOLO, overlapMax: 0.45, threshold: 0.2 },
  "rows of its own": { shape: { ...SMALL_YOLO, output: "rows" }, overlapMax: 0.7, threshold: 0.2 },
  "all candidates in half precision": {
    shape: { ...SMALL_YOLO, width: 320, height: 320, half: true },
    overlapMax: 0.5,
    threshold: 0.2,
  },
  "a lying rectangle and few classes": {
    shape: { ...SMALL_YOLO, seed: 9, classes: 3, width: 416, height: 256 },
    overlapMax: 0.7,
    threshold: 0.01,
  },
};

describe.each(Object.keys(SHAPES))("a model that gives %s", (name) => {
  const { shape, overlapMax, threshold } = SHAPES[name]!;
  const folder = join(scratch.path, Bun.hash(name).toString(36));
  const file = join(folder, "model.onnx");
  const classes = CLASSES.slice(0, shape.classes);
  const images = SIZES.map(([width, height]) => join(folder, `${width}x${height}.png`));
  let worker: TestWorker;

  beforeAll(async () => {
    writeYolo(file, shape);
    for (const [at, [width, height]] of SIZES.entries()) {
      await Bun.write(images[at]!, await drawScene(width, height, at).png().toBuffer());
    }
    worker = await startWorker({
      model: { id: "yolo", category: "detection", detection: { classes, overlapMax } },
      file,
    });
  });
  afterAll(() => worker?.stop());

  const look = async (path: string, more: object = {}) => {
    const image = `data:image/png;base64,${Buffer.from(await Bun.file(path).bytes()).toString("base64")}`;
    const answer = await worker.post("/v1/images/detections", { model: "yolo", image, threshold, ...more });
    expect(answer.status).toBe(200);
    return (await answer.json()) as DetectionAnswer;
  };
  const ask = (more: object = {}) =>
    reference<Reference[]>("detect.py", {
      ...{ file, images, classes: shape.classes, threshold, overlap: overlapMax, most: 300, wanted: null },
      ...more,
    });

  test("the same boxes, labels and scores, on images of every size", async () => {
    const expected = await ask();
    let compared = 0;
    for (const [at, path] of images.entries()) {
      const answer = await look(path);
      const { width, height, found } = expected[at]!;
      expect(answer.image).toEqual({ width, height });
      expect(answer.data.length).toBe(found.length);
      for (const [index, theirs] of found.entries()) {
        compared++;
        expectSame(answer.data[index]!, theirs);
      }
    }
    // A comparison of nothing would prove nothing.
    expect(compared).toBeGreaterThan(20);
  });

  test("the same with few classes and few boxes", async () => {
    const everything = await ask();
    const seen = [...new Set(everything.flatMap(({ found }) => found.map(({ label }) => label)))].slice(0, 2);
    const expected = await ask({ wanted: seen, most: 3 });
    for (const [at, path] of images.entries()) {
      const { data } = await look(path, { classes: seen.map((label) => classes[label]!), max_detections: 3 });
      expect(data.length).toBe(expected[at]!.found.length);
      for (const [index, theirs] of expected[at]!.found.entries()) expectSame(data[index]!, theirs);
    }
  });

  function expectSame({ label, score, box }: Detection, theirs: Reference["found"][number]): void {
    const [left, top, right, bottom] = theirs.box;
    expect(label).toBe(classes[theirs.label]!);
    expect(Math.abs(score - theirs.score)).toBeLessThan(1e-3);
    for (const [ours, other] of [
      [box.x, left],
      [box.y, top],
      [box.x + box.width, right],
      [box.y + box.height, bottom],
    ] as const) {
      expect(Math.abs(ours - other)).toBeLessThan(1);
    }
  }
});

test("a turned photograph is looked at as it is meant to be seen", async () => {
  const file = join(scratch.path, "turned/model.onnx");
  writeYolo(file);
  const worker = await startWorker({
    model: { id: "yolo", category: "detection", detection: { classes: CLASSES } },
    file,
  });
  try {
    const path = join(scratch.path, "turned.png");
    const upright = drawScene(300, 200, 2);
    const lying = sharp(await upright.clone().rotate(270).png().toBuffer());
    await lying.withMetadata({ orientation: 6 }).png().toFile(path);
    const sent = await Bun.file(path).bytes();
    const image = `data:image/png;base64,${Buffer.from(sent).toString("base64")}`;
    const answer = await worker.post("/v1/images/detections", { model: "yolo", image, threshold: 0.2 });
    const { image: size, data } = (await answer.json()) as DetectionAnswer;
    const [theirs] = await reference<Reference[]>("detect.py", {
      ...{ file, images: [path], classes: 80, threshold: 0.2, overlap: 0.7, most: 300, wanted: null },
    });
    expect(size).toEqual({ width: 300, height: 200 });
    expect(data.map(({ label }) => label)).toEqual(theirs!.found.map(({ label }) => CLASSES[label]!));
    expect(data.length).toBeGreaterThan(0);
  } finally {
    await worker.stop();
  }
});
