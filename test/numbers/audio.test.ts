// What our models hear and say against another implementation on the same weights: transformers' log-mel, and greedy decoding
// and speech with the Python onnxruntime, written in numpy.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decode } from "@oxbow/audio";
import type { WorkerModel } from "@oxbow/contract";
import { writeKokoro } from "../../models/fixtures/kokoro.ts";
import { writeWhisper } from "../../models/fixtures/whisper.ts";
import type { JobContext, Loaded, Result } from "../../workers/onnx/families/family.ts";
import { loadJobs as loadKokoro, type SayAsk } from "../../workers/onnx/families/kokoro-jobs.ts";
import { openPhonemizer } from "../../workers/onnx/families/kokoro-phonemes.ts";
import { loadJobs as loadWhisper, type WindowAsk } from "../../workers/onnx/families/whisper-jobs.ts";
import { createMel } from "../../workers/onnx/families/whisper-mel.ts";
import { readOnnxOptions } from "../../workers/onnx/options.ts";
import { temporaryDirectory } from "../../workers/onnx/testing.ts";
import { pythonWithModels } from "../python/venv.ts";
import { needTools, speakInAllFormats } from "../recordings.ts";
import { reference } from "./reference.ts";

setDefaultTimeout(180_000);
const scratch = temporaryDirectory();
afterAll(() => scratch.remove());

/** Speech, and noise that fills all of 30 s. */
const sounds: Record<string, Float32Array> = {};

beforeAll(async () => {
  void pythonWithModels();
  needTools();
  const { files, seconds } = speakInAllFormats("Every number that a model computes is computed a second time.");
  const pieces: number[] = [];
  for await (const piece of decode(files.wav!, { sampleRate: 16_000, secondsMax: seconds })) pieces.push(...piece);
  sounds.speech = Float32Array.from(pieces);
  let state = 1;
  sounds.noise = Float32Array.from({ length: 480_000 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state / 2 ** 32;
  });
}, 600_000);

interface Heard {
  apart: number;
  tokens: number[];
  average: number;
  language: string;
}

const place = (folder: string) => ({
  folder,
  model: { id: "m", file: folder } as WorkerModel & { file: string },
  options: readOnnxOptions({}),
  threads: 1,
  progress: () => {},
});

function write(name: string, values: Float32Array): string {
  const path = join(scratch.path, name);
  writeFileSync(path, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return path;
}

/** A job as its own routes know it. */
function jobOf<Ask>({ jobs }: Loaded, name: string) {
  return jobs[name] as (ask: Ask, context: JobContext) => Result | Promise<Result>;
}

describe.each(["speech", "noise"])("%s", (name) => {
  test.each([80, 128])("has the same log-mel in %d bands", async (bands) => {
    const folder = join(scratch.path, "scripted");
    writeWhisper(folder);
    const mel = write(`${name}.mel`, createMel(bands)(sounds[name]!));
    const question = { folder, sound: write(`${name}.f32`, sounds[name]!), mel, bands, prompt: [], task: "transcribe" };
    const { apart } = await reference<Heard>("hear.py", { ...question, language: "en" });
    expect(apart).toBeLessThan(1e-5);
  });

  test.each<[string, object]>([
    ["a script", {}],
    ["what random weights make of it", { script: null }],
  ])("is heard as the same tokens: %s", async (kind, options) => {
    const folder = join(scratch.path, Bun.hash(kind).toString(36));
    writeWhisper(folder, options);
    const hear = jobOf<WindowAsk>(await loadWhisper(place(folder)), "window");
    const samples = sounds[name]!;
    for (const [task, language, prompt] of [
      ["transcribe", "de", []],
      ["translate", "en", [40, 41, 42]],
    ] as const) {
      const tokens: number[] = [];
      const ask = { samples, last: true, language, task, prompt, temperature: 0, words: false, report: true };
      const context = {
        signal: new AbortController().signal,
        report: (token: unknown) => void tokens.push(token as number),
        breathe: async () => {},
      };
      const { output } = await hear(ask, context);
      const found = (await hear({ ...ask, language: null }, context)).output as { language: string };
      const mel = write(`${name}.mel`, createMel(80)(samples));
      const question = { folder, sound: write(`${name}.f32`, samples), mel, bands: 80, prompt, task, language };
      const theirs = await reference<Heard>("hear.py", question);
      expect(tokens.slice(0, theirs.tokens.length)).toEqual(theirs.tokens);
      expect((output as { tokens: number }).tokens).toBe(theirs.tokens.length);
      expect((output as { averageLogprob: number }).averageLogprob).toBeCloseTo(theirs.average, 4);
      expect(found.language).toBe(theirs.language);
    }
  });
});

test.each([
  ["af_heart", 1, "Hello world, this is a test!"],
  ["bf_emma", 0.5, "One two three, four; five."],
  ["am_echo", 2.5, "Numbers: 1987 and 42."],
])("speech of %s at speed %d has the same samples", async (voice, speed, text) => {
  const folder = join(scratch.path, "kokoro");
  writeKokoro(folder);
  const say = jobOf<SayAsk>(await loadKokoro(place(folder)), "say");
  const context = { signal: new AbortController().signal, report: () => {}, breathe: async () => {} };
  const { output } = await say({ text, voice, speed }, context);
  const { samples, phonemes } = output as { samples: Float32Array; phonemes: number };
  const vocabulary = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")).model.vocab;
  const said = await (await openPhonemizer()).phonemize(text, voice);
  const ids = [...said].flatMap((each) => vocabulary[each] ?? []);
  expect(phonemes).toBe(ids.length);
  const into = join(scratch.path, "said.f32");
  const { samples: count } = await reference<{ samples: number }>("speak.py", { folder, voice, ids, speed, into });
  expect(samples.length).toBe(count);
  const theirs = new Float32Array(new Uint8Array(readFileSync(into)).buffer);
  expect(samples.reduce((most, value, at) => Math.max(most, Math.abs(value - theirs[at]!)), 0)).toBeLessThan(1e-5);
});
