import { expect, test } from "bun:test";
import { DETECTIONS_DEFAULT, DetectionRequest, THRESHOLD_DEFAULT } from "@oxbow/contract";
import { described, ownSchema, ownViolations } from "./own.ts";

const answer = {
  id: `det_${"a".repeat(29)}`,
  object: "image.detections",
  created: 1,
  model: "yolov11",
  image: { width: 4, height: 3 },
  data: [{ object: "detection", label: "dog", score: 0.5, box: { x: 0, y: 0.5, width: 2, height: 1 } }],
  usage: { images: 1, pixels: 12 },
};
const PATH = "/v1/images/detections";

test("a good answer fits, and each bad one is told", () => {
  expect(ownViolations("POST", PATH, 200, answer)).toEqual([]);
  expect(ownViolations("POST", PATH, 200, { ...answer, data: [] })).toEqual([]);
  for (const bad of [
    { ...answer, id: "x" },
    { ...answer, extra: 1 },
    { ...answer, image: { width: 4 } },
    { ...answer, data: [{ ...answer.data[0], score: 2 }] },
    { ...answer, data: [{ ...answer.data[0], box: [0, 0, 1, 1] }] },
  ]) {
    expect(ownViolations("POST", PATH, 200, bad)).not.toEqual([]);
  }
  expect(ownViolations("POST", PATH, 400, { error: { message: "m", type: "t", param: null, code: null } })).toEqual([]);
  expect(ownViolations("POST", PATH, 400, { detail: "m" })).not.toEqual([]);
  expect(ownViolations("GET", "/health", 404, {})).not.toEqual([]);
});

test("paths that are not ours are left to the other oracle", () => {
  expect(ownViolations("POST", "/v1/chat/completions", 200, {})).toEqual([]);
});

test("a request is described as the contract reads it", () => {
  const valid = ownSchema("DetectionRequest");
  expect(valid({ model: "m", image: "aaaa", threshold: 0.5, max_detections: 5, classes: ["dog"] })).toBe(true);
  for (const bad of [
    { model: "m" },
    { model: "m", image: "a", threshold: 2 },
    { model: "m", image: "a", classes: [] },
  ]) {
    expect(valid(bad)).toBe(false);
  }
  const schemas = described as unknown as { components: { schemas: Record<string, { properties: object }> } };
  const options = schemas.components.schemas.DetectionOptions!.properties as Record<string, { default?: number }>;
  expect(Object.keys({ ...options, image: {} }).sort()).toEqual(Object.keys(DetectionRequest.properties).sort());
  expect([options.threshold!.default, options.max_detections!.default]).toEqual([
    THRESHOLD_DEFAULT,
    DETECTIONS_DEFAULT,
  ]);
});
