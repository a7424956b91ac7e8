// What is said at the end of a start: a first call that the model can answer.

import { expect, test } from "bun:test";
import { createReport, type FirstModel } from "./report.ts";

function firstCall(model: Omit<FirstModel, "id"> | undefined): string {
  let said = "";
  const report = createReport((text) => {
    said += text;
  }, false);
  report.ready("http://127.0.0.1:8080/v1", model && { id: "m", ...model });
  return said;
}

test.each([
  [["tools"], "/chat/completions", '"content": "Hello!"'],
  [["vision"], "/chat/completions", '"content": "Hello!"'],
  [["embeddings"], "/embeddings", '"input": "Hello!"'],
  [["transcription", "translation"], "/audio/transcriptions", "-F model=m -F file=@recording.mp3"],
  [["speech"], "/audio/speech", '"voice": "alloy"'],
  [["image_generation", "image_edits"], "/images/generations", '"prompt": "a lighthouse"'],
  [["detection"], "/images/detections", "-F model=m -F image=@photo.jpg"],
])("a model with %p is called as such a model is", (capabilities, path, body) => {
  const said = firstCall({ capabilities });
  expect(said).toContain(`curl http://127.0.0.1:8080/v1${path} \\\n`);
  expect(said).toContain(body);
});

test("a model that speaks is called with a voice of its own, and without a model nothing is called", () => {
  expect(firstCall({ capabilities: ["speech"], speech: { voices: ["anna"] } })).toContain('"voice": "anna"');
  expect(firstCall(undefined)).toBe("\nReady at http://127.0.0.1:8080/v1\n\n");
});
