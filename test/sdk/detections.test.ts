// Detection as applications call it: plain fetch with JSON and with a form, and the Node client's `post`. Against the
// simulator and against the real worker on a generated YOLO.

import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { DetectionAnswer, ErrorBody } from "@oxbow/contract";
import OpenAI, { toFile } from "openai";
import { SMALL_YOLO, writeYolo } from "../../models/fixtures/yolo.ts";
import { KEY } from "../harness.ts";
import { dataWithOnnx } from "../onnx-data.ts";
import { described } from "../oracle/own.ts";
import { drawScene } from "../scene.ts";
import { testTraffic, useServer } from "../suite.ts";

const CLASSES = Array.from({ length: 80 }, (_, index) => (index === 22 ? "dog" : `class ${index}`));
const data = dataWithOnnx({
  yolo: {
    write: (folder) => {
      writeYolo(join(folder, "yolo.onnx"), SMALL_YOLO);
      return join(folder, "yolo.onnx");
    },
    entry: { category: "detection", aliases: ["acme/yolo"], detection: { classes: CLASSES } },
  },
});
afterAll(data.remove);

const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const scene = drawScene(501, 333, 4);
const png = await scene.clone().png().toBuffer();
const PATH = "/images/detections";

async function post(body: object | FormData, headers: Record<string, string> = {}) {
  const form = body instanceof FormData;
  const answer = await fetch(server().baseUrl + PATH, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, ...(form ? {} : { "content-type": "application/json" }), ...headers },
    body: form ? body : JSON.stringify(body),
  });
  const read = (await answer.json()) as DetectionAnswer & ErrorBody;
  return { status: answer.status, headers: answer.headers, ...read };
}

function formOf(fields: Record<string, string | string[] | Blob>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const each of value) form.append(`${name}[]`, each);
    else form.append(name, value);
  }
  return form;
}

describe.each(["yolo", "yolov11"])("%s", (model) => {
  const seen = (answer: DetectionAnswer) => answer.data.map(({ label, score, box }) => ({ label, score, box }));

  test("an image is the same image by data: URL, by base64, by form and through the client", async () => {
    const base64 = png.toString("base64");
    const first = await post({ model, image: `data:image/png;base64,${base64}`, threshold: 0.1 });
    expect([first.status, first.model, first.image]).toEqual([200, model, { width: 501, height: 333 }]);
    expect(first.data.length).toBeGreaterThan(0);
    expect(first.usage).toEqual({ images: 1, pixels: 501 * 333 });
    expect(first.headers.get("x-oxbow-counted")).toBe("1");
    const others = [
      await post({ model, image: base64, threshold: 0.1 }),
      await post(formOf({ model, threshold: "0.1", image: new File([png], "photo.png") })),
      await client().post<DetectionAnswer>(PATH, { body: { model, image: base64, threshold: 0.1 } }),
    ];
    for (const other of others) expect(seen(other)).toEqual(seen(first));
  });

  test("boxes lie in the image, the best first, and threshold, number and classes narrow them", async () => {
    const image = png.toString("base64");
    const all = await post({ model, image, threshold: 0, max_detections: 1000 });
    for (const { score, box } of all.data) {
      expect(score).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(501.01);
      expect(box.y + box.height).toBeLessThanOrEqual(333.01);
    }
    expect(all.data.map(({ score }) => score)).toEqual(all.data.map(({ score }) => score).sort((a, b) => b - a));
    const middle = all.data[Math.floor(all.data.length / 2)]!.score;
    const fewer = await post({ model, image, threshold: middle, max_detections: 1000 });
    expect(fewer.data.every(({ score }) => score >= middle - 1e-4)).toBe(true);
    expect((await post({ model, image, threshold: 0, max_detections: 2 })).data).toEqual(all.data.slice(0, 2));
    const label = all.data.at(-1)!.label;
    const one = await post(formOf({ model, threshold: "0", classes: [label], image: new File([png], "a.png") }));
    expect(one.data.length).toBeGreaterThan(0);
    expect(one.data.every((found) => found.label === label)).toBe(true);
  });

  test("a turned photograph is measured as it is meant to be seen", async () => {
    const lying = await scene.clone().rotate(90).jpeg({ quality: 95 }).toBuffer();
    const turned = await (await import("sharp")).default(lying).withMetadata({ orientation: 8 }).jpeg().toBuffer();
    const { image } = await post({ model, image: turned.toString("base64") });
    expect(image).toEqual({ width: 501, height: 333 });
  });

  test("an unknown class is refused with what the model knows", async () => {
    const { status, error } = await post({ model, image: "aaaa", classes: ["dog", "unicorn"] });
    expect([status, error.code, error.param]).toEqual([400, "invalid_value", "classes[1]"]);
    expect(error.message).toContain("'dog'");
  });

  test.each<[string, () => object | FormData, string | null]>([
    ["no image", () => ({ model }), "image"],
    ["an empty image", () => ({ model, image: "" }), "image"],
    ["what is no base64", () => ({ model, image: "not base64!" }), "image"],
    ["base64 of what is no image", () => ({ model, image: btoa("hello") }), "image"],
    ["a data: URL that is cut off", () => ({ model, image: "data:image/png;base64" }), "image"],
    ["a file that is cut off", () => ({ model, image: png.subarray(0, 200).toString("base64") }), "image"],
    ["a file of no bytes", () => formOf({ model, image: new File([], "a.png") }), "image"],
    ["another format", () => formOf({ model, image: new File(["<svg/>"], "a.png") }), "image"],
    ["two files", () => twoFiles(model), "image"],
    ["an image of too many pixels", () => ({ model, image: bomb().toString("base64") }), "image"],
    ["an address inside", () => ({ model, image: "http://127.0.0.1:8080/photo.png" }), "image"],
    ["an address inside, in decimal", () => ({ model, image: "http://2130706433/photo.png" }), "image"],
    ["a threshold above 1", () => ({ model, image: "aaaa", threshold: 1.5 }), "threshold"],
    [
      "a threshold that is no number",
      () => formOf({ model, threshold: "high", image: new File([png], "a.png") }),
      "threshold",
    ],
    ["no boxes at all", () => ({ model, image: "aaaa", max_detections: 0 }), "max_detections"],
    ["no classes at all", () => ({ model, image: "aaaa", classes: [] }), "classes"],
    ["an image that is a number", () => ({ model, image: 7 }), "image"],
  ])("%s is refused", async (_, body, param) => {
    const { status, error } = await post(body());
    expect([Math.floor(status / 100), error.param]).toEqual([4, param]);
  });
});

function twoFiles(model: string): FormData {
  const form = formOf({ model, image: new File([png], "a.png") });
  form.append("image", new File([png], "b.png"));
  return form;
}

/** A PNG whose head says that it has four thousand million pixels. */
function bomb(): Buffer {
  const bytes = Buffer.from(png);
  bytes.writeUInt32BE(65_535, 16);
  bytes.writeUInt32BE(65_535, 20);
  bytes.writeUInt32BE(Bun.hash.crc32(bytes.subarray(12, 29)), 29);
  return bytes;
}

test("other models are refused by name, and told which one can", async () => {
  const { status, error } = await post({ model: "bge-large", image: "aaaa" });
  expect([status, error.param]).toEqual([400, "model"]);
  expect(error.message).toMatch(/does not find objects in images here\. `[\w.-]+` does\.$/);
  expect((await post({ model: "acme/yolo", image: png.toString("base64") })).model).toBe("yolo");
});

test("the same form again under its key is the same answer, counted once, whatever its boundary", async () => {
  const headers = { "idempotency-key": "look-once" };
  const form = () => formOf({ model: "yolo", image: new File([png], "a.png") });
  const first = await post(form(), headers);
  const again = await post(form(), headers);
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect([again.id, again.data]).toEqual([first.id, first.data]);
  const other = formOf({ model: "yolo", threshold: "0.5", image: new File([png], "a.png") });
  expect((await post(other, headers)).status).toBe(409);
});

test("the client sends a file by form as well", async () => {
  const form = formOf({ model: "yolov9", image: await toFile(png, "photo.png") });
  const answer = await client().post<DetectionAnswer>(PATH, { body: form });
  expect(answer.image).toEqual({ width: 501, height: 333 });
});

test("what the description names is there", async () => {
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const method of Object.keys(methods)) {
      const url = new URL(path, server().baseUrl);
      const answer = await fetch(url, { method: method.toUpperCase(), headers: { authorization: `Bearer ${KEY}` } });
      expect([path, answer.status === 404 || answer.status === 405]).toEqual([path, false]);
      await answer.arrayBuffer();
    }
  }
});

testTraffic(server);
