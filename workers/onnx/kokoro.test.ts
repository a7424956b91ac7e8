// The worker on a generated model of speech, over its socket: texts in, sound out.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type ErrorBody, SPEECH_FORMATS, SPEECH_TYPES } from "@oxbow/contract";
import { writeKokoro } from "../../models/fixtures/kokoro.ts";
import { needTools, probe } from "../../test/recordings.ts";
import { startWorker, type TestWorker, temporaryDirectory } from "./testing.ts";

setDefaultTimeout(60_000);
const scratch = temporaryDirectory();
let worker: TestWorker;

beforeAll(async () => {
  needTools();
  writeKokoro(join(scratch.path, "kokoro"));
  worker = await startWorker({
    model: { id: "kokoro", category: "audio", capabilities: ["speech"] },
    file: join(scratch.path, "kokoro"),
  });
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  scratch.remove();
});

const ask = (more: object = {}, signal?: AbortSignal) =>
  worker.post(
    "/v1/audio/speech",
    { model: "kokoro", voice: "af_heart", input: "Hello world.", ...more },
    signal ? { signal } : {},
  );
const samplesOf = async (more: object = {}) =>
  (await (await ask({ response_format: "pcm", ...more })).bytes()).length / 2;

describe("speech", () => {
  test("is 600 samples for each phoneme, shorter at a higher speed", async () => {
    const samples = await samplesOf();
    expect(samples % 600).toBe(0);
    expect(samples / 600).toBeGreaterThan(10);
    expect(Math.abs((await samplesOf({ speed: 2 })) - samples / 2)).toBeLessThanOrEqual(60);
    expect(Math.abs((await samplesOf({ speed: 0.25 })) - samples * 4)).toBeLessThanOrEqual(240);
  });

  test("is another one with another voice, and the same with the same", async () => {
    const of = async (voice: string) => (await ask({ response_format: "pcm", voice })).bytes();
    expect(await of("af_heart")).toEqual(await of("af_heart"));
    expect(await of("heart")).toEqual(await of("af_heart"));
    expect(await of("am_echo")).not.toEqual(await of("af_heart"));
  });

  test("does not end at a control character", async () => {
    for (const voice of ["af_heart", "ff_siwis"]) {
      const whole = await samplesOf({ voice, input: "Hello world and all." });
      for (const mark of ["\u0000", "\u0001", "\u001b", "\u007f"]) {
        expect(await samplesOf({ voice, input: `${mark}Hello world${mark} and all.` })).toBe(whole);
      }
    }
  });

  test("comes in every format, as long as it is", async () => {
    const seconds = (await samplesOf()) / 24_000;
    for (const response_format of SPEECH_FORMATS) {
      const answer = await ask({ response_format });
      expect(answer.headers.get("content-type")).toBe(SPEECH_TYPES[response_format]);
      const raw = response_format === "pcm" ? ["-f", "s16le", "-ar", "24000", "-ac", "1"] : [];
      const found = probe(await answer.bytes(), raw);
      expect([response_format, Math.abs(found.seconds - seconds) < 0.15]).toEqual([response_format, true]);
    }
  });

  test("reads other languages where espeak-ng is there", async () => {
    expect(await samplesOf({ voice: "ff_siwis", input: "Bonjour tout le monde." })).toBeGreaterThan(6000);
  });

  test("is sent as it is made: the first sentence long before the last", async () => {
    const input = "This is one sentence of a longer text. ".repeat(60);
    const started = performance.now();
    const reader = (await ask({ input, response_format: "pcm" })).body!.getReader();
    const { value } = await reader.read();
    const first = performance.now() - started;
    expect(value!.length).toBeGreaterThan(1000);
    while (!(await reader.read()).done) {
      // to the end
    }
    expect(first).toBeLessThan((performance.now() - started) / 3);
  });

  test("as events holds the same bytes, and what it cost", async () => {
    const whole = await (await ask({ response_format: "wav" })).bytes();
    const answer = await ask({ response_format: "wav", stream_format: "sse" });
    const events = (await answer.text()).split("\n\n").filter(Boolean);
    const data = events.map((event) => JSON.parse(event.slice(6)));
    const audio = data.slice(0, -1).map((event) => Buffer.from(event.audio, "base64"));
    expect(Buffer.concat(audio).equals(Buffer.from(whole))).toBe(true);
    const { type, usage } = data.at(-1);
    expect(type).toBe("speech.audio.done");
    // Two tokens are the silence around the phonemes.
    expect(usage.output_tokens).toBe(usage.input_tokens + 2);
  });

  test("of the longest text there may be is whole", async () => {
    const input = "word ".repeat(819).slice(0, 4096);
    expect(await samplesOf({ input })).toBeGreaterThan(600 * 819 * 3);
    const spaceless = "a".repeat(2000);
    expect(await samplesOf({ input: spaceless })).toBeGreaterThan(600 * 500);
  });

  test("ends when the caller leaves, and the next one is served", async () => {
    const gone = new AbortController();
    const reader = (
      await ask({ input: "One more sentence. ".repeat(200), response_format: "pcm" }, gone.signal)
    ).body!.getReader();
    await reader.read();
    gone.abort();
    expect((await ask()).status).toBe(200);
  });
});

describe("refusals", () => {
  test.each<[string, object, string, string]>([
    ["an unknown voice", { voice: "nobody" }, "voice", "unsupported_value"],
    ["a path for a voice", { voice: "../../config" }, "voice", "unsupported_value"],
    ["nothing to say", { input: " \n… " }, "input", "invalid_value"],
    ["a speed beyond all bounds", { speed: 9 }, "speed", "decimal_above_max_value"],
    ["a format that is none", { response_format: "midi" }, "response_format", "invalid_value"],
    ["too long a text", { input: "a".repeat(4097) }, "input", "string_too_long"],
  ])("%s", async (_, more, param, code) => {
    const answer = await ask(more);
    const { error } = (await answer.json()) as ErrorBody;
    expect([answer.status, error.param, error.code]).toEqual([400, param, code]);
  });
});
