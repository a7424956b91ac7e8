// The thread that computes, and what goes wrong on this side of it.

import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { writeWhisper } from "../../models/fixtures/whisper.ts";
import type { WindowAsk } from "./families/whisper-jobs.ts";
import { startInference } from "./inference-thread.ts";
import { readOnnxOptions } from "./options.ts";
import { temporaryDirectory } from "./testing.ts";

const scratch = temporaryDirectory();
afterAll(() => scratch.remove());
const folder = join(scratch.path, "ear");
writeWhisper(folder);

const { inference } = await startInference({
  family: "whisper",
  folder,
  model: { id: "ear", aliases: [], category: "audio", capabilities: ["transcription"], contextTokens: 0, file: folder },
  options: readOnnxOptions({}),
  threads: 1,
  onProgress: () => {},
  onBroken: () => {},
});
const ask: WindowAsk = {
  samples: new Float32Array(16_000),
  last: true,
  language: "en",
  task: "transcribe",
  prompt: [],
  temperature: 0,
  words: false,
  report: true,
};

test("who cannot take what is reported fails alone: the process lives, and the others get their answers", async () => {
  const reports: unknown[] = [];
  const failing = inference.run("window", ask, {
    onReport() {
      throw new Error("the caller's stream is closed");
    },
  });
  const other = inference.run("window", ask, { onReport: (value) => reports.push(value) });
  expect(await failing.catch((error: Error) => error.message)).toBe("the caller's stream is closed");
  expect(await other).toMatchObject({ language: "en" });
  expect(reports.length).toBeGreaterThan(5);
});

test("who has hung up gets no more reports", async () => {
  const gone = new AbortController();
  let reports = 0;
  const run = inference.run("window", ask, {
    signal: gone.signal,
    onReport() {
      reports++;
      gone.abort(new Error("gone"));
    },
  });
  expect(await run.catch((error: Error) => error.message)).toBe("gone");
  await inference.run("window", ask);
  expect(reports).toBe(1);
});
