// What the worker says, and how it ends, when its files are no good.

import { afterAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeBert } from "../../models/fixtures/bert.ts";
import { createGraph } from "../../models/fixtures/onnx-writer.ts";
import { SMALL_YOLO, writeYolo } from "../../models/fixtures/yolo.ts";
import { spawnWorker, startWorker, temporaryDirectory } from "./testing.ts";

const scratch = temporaryDirectory();
afterAll(() => scratch.remove());
writeBert(join(scratch.path, "good"));

/** A copy of the good model, spoiled. */
function spoiled(name: string, spoil: (folder: string) => void): string {
  const folder = join(scratch.path, name);
  cpSync(join(scratch.path, "good"), folder, { recursive: true });
  spoil(folder);
  return folder;
}

const cases: Record<string, { file: () => string; says: string; category?: string; options?: object }> = {
  "that is not there": { file: () => join(scratch.path, "none"), says: "was not found" },
  "without a graph": {
    file: () => spoiled("no-graph", (folder) => rmSync(join(folder, "onnx"), { recursive: true })),
    says: "has no model.onnx (precision fp32)",
  },
  "in a precision that it does not have": {
    file: () => join(scratch.path, "good"),
    options: { dtype: "fp16" },
    says: "has no model_fp16.onnx",
  },
  "whose graph is cut off": {
    file: () =>
      spoiled("cut", (folder) => {
        const path = join(folder, "onnx/model.onnx");
        writeFileSync(path, readFileSync(path).subarray(0, 100_000));
      }),
    says: "Protobuf parsing failed",
  },
  "whose graph is empty": {
    file: () => spoiled("empty", (folder) => writeFileSync(join(folder, "onnx/model.onnx"), "")),
    says: "cannot be loaded",
  },
  "without a tokenizer": {
    file: () => spoiled("no-tokenizer", (folder) => rmSync(join(folder, "tokenizer.json"))),
    says: "has no tokenizer.json",
  },
  "whose tokenizer is no JSON": {
    file: () => spoiled("bad-json", (folder) => writeFileSync(join(folder, "tokenizer.json"), "{")),
    says: "has a tokenizer.json that is no JSON object",
  },
  "whose tokenizer is empty": {
    file: () => spoiled("bad-tokenizer", (folder) => writeFileSync(join(folder, "tokenizer.json"), "{}")),
    says: "has a tokenizer.json that cannot be used",
  },
  "that wants an input which texts do not have": {
    file: () => {
      const folder = join(scratch.path, "strange");
      mkdirSync(folder);
      const graph = createGraph("strange", 1);
      graph.node("Identity", [graph.input("pixel_values", "f32", [1, 2])], {}, ["y"]);
      graph.output("y", "f32", [1, 2]);
      writeFileSync(join(folder, "model.onnx"), graph.encode());
      return folder;
    },
    says: "wants an input 'pixel_values'",
  },
  "of a category that no family is for": {
    file: () => join(scratch.path, "good"),
    category: "chat",
    says: "no family here is for a model of chat of the type bert",
  },
  "that answers for other classes than its entry names": {
    file: () => {
      writeYolo(join(scratch.path, "yolo/yolo.onnx"), { ...SMALL_YOLO, classes: 5, width: 64, height: 64 });
      return join(scratch.path, "yolo/yolo.onnx");
    },
    category: "detection",
    says: "answers with [1,9,84]; for 2 classes it must be [1,6,N] or [1,N,6]",
  },
  "of texts, hosted as one of images": {
    file: () => join(scratch.path, "good"),
    category: "detection",
    says: "does not take one image",
  },
  "with an option that does not exist": {
    file: () => join(scratch.path, "good"),
    options: { speed: 11 },
    says: "option speed is unknown",
  },
};

test.each(Object.keys(cases))("a model %s ends the worker for good, with the reason", async (name) => {
  const { file, says, category = "embeddings", options = {} } = cases[name]!;
  const detection = { classes: ["one", "two"] };
  const worker = spawnWorker({ model: { category, detection }, file: file(), options: { ...options } });
  expect(await worker.process.exited).toBe(65);
  await worker.stop();
  const last = worker.log().trim().split("\n").at(-1)!;
  expect(last).toStartWith("fatal: ");
  expect(last).toContain(says);
  expect(last).not.toContain(scratch.path);
});

test("the only graph of a folder is the model, whatever its name", async () => {
  const folder = spoiled("renamed", (path) => renameSync(join(path, "onnx/model.onnx"), join(path, "small_bert.onnx")));
  const worker = await startWorker({ model: { category: "embeddings" }, file: folder });
  expect((await worker.post("/v1/embeddings", { model: "test-model", input: "a" })).status).toBe(200);
  await worker.stop();
});

test("the worker ends when its parent does", async () => {
  const worker = spawnWorker({ model: { category: "embeddings" }, file: join(scratch.path, "good") });
  worker.process.stdin.end();
  expect(await worker.process.exited).toBe(0);
  await worker.stop();
});
