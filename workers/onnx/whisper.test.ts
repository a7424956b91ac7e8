// The worker on a generated Whisper, over its socket: recordings in, transcripts out.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  AUDIO_SECONDS_FIELD,
  type ErrorBody,
  type Form,
  type Transcript,
  TranscriptionRequest,
  writeForm,
} from "@oxbow/contract";
import { writeWhisper } from "../../models/fixtures/whisper.ts";
import { wavOf } from "../../test/recordings.ts";
import { startWorker, type TestWorker, temporaryDirectory } from "./testing.ts";

const scratch = temporaryDirectory();
let worker: TestWorker;

beforeAll(async () => {
  writeWhisper(join(scratch.path, "whisper"));
  const capabilities = ["transcription", "translation"];
  worker = await startWorker({
    model: { id: "whisper", category: "audio", capabilities },
    file: join(scratch.path, "whisper"),
  });
}, 60_000);

afterAll(async () => {
  await worker?.stop();
  scratch.remove();
});

function ask(bytes: Uint8Array, fields: Record<string, string> = {}, path = "transcriptions", headers = {}) {
  const form: Form = {
    fields: new Map(Object.entries({ model: "whisper", ...fields }).map(([name, value]) => [name, [value]])),
    files: [{ name: "file", filename: "a.wav", contentType: "audio/wav", bytes }],
  };
  const { bytes: body, contentType } = writeForm(form, TranscriptionRequest);
  return worker.post(`/v1/audio/${path}`, body, { headers: { "content-type": contentType, ...headers } });
}

const verbose = { response_format: "verbose_json" };
type Verbose = Omit<Transcript, "words"> & { words?: { word: string; start: number; end: number }[]; language: string };

describe("a transcript", () => {
  test("is what was heard, with the language that was found", async () => {
    const answer = await ask(wavOf(4));
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({
      text: "hello world. this is a test!",
      usage: { type: "duration", seconds: 4 },
    });
    const whole = (await (await ask(wavOf(4), verbose)).json()) as Verbose;
    expect(whole).toMatchObject({ task: "transcribe", language: "english", duration: 4 });
    expect(whole.segments).toHaveLength(2);
    const [first, second] = whole.segments;
    expect(first).toMatchObject({ id: 0, seek: 0, start: 0, end: 1.5, text: " hello world.", temperature: 0 });
    expect(second).toMatchObject({ id: 1, start: 1.6, end: 3, text: " this is a test!" });
    expect(first!.avg_logprob).toBeLessThan(0);
    expect(first!.avg_logprob).toBeGreaterThan(-0.1);
    expect(first!.no_speech_prob).toBeGreaterThan(0);
    expect(first!.no_speech_prob).toBeLessThan(0.01);
  });

  test("of a longer recording goes on from where a window ended, with true times", async () => {
    const { segments, duration, text } = (await (await ask(wavOf(70), verbose)).json()) as Verbose;
    expect(duration).toBe(70);
    expect(segments.map(({ seek }) => seek)).toEqual([0, 0, 3000, 3000, 6000, 6000]);
    expect(segments.map(({ start }) => start)).toEqual([0, 1.6, 30, 31.6, 60, 61.6]);
    expect(text).toBe(new Array(3).fill("hello world. this is a test!").join(" "));
  });

  test("has words in order, inside of the recording, that are the text", async () => {
    const fields = { ...verbose, timestamp_granularities: "word" };
    const { words, text, segments } = (await (await ask(wavOf(4), fields)).json()) as Verbose;
    expect(segments).toBeUndefined();
    expect(words!.map(({ word }) => word).join(" ")).toBe(text);
    for (const [at, { start, end }] of words!.entries()) {
      expect(end).toBeGreaterThanOrEqual(start);
      expect(start).toBeGreaterThanOrEqual(words![at - 1]?.start ?? 0);
      expect(end).toBeLessThanOrEqual(4);
    }
  });

  test("is a text, captions or subtitles when that was asked for", async () => {
    const of = async (response_format: string) => (await ask(wavOf(4), { response_format })).text();
    expect(await of("text")).toBe("hello world. this is a test!\n");
    expect(await of("srt")).toBe(
      "1\n00:00:00,000 --> 00:00:01,500\nhello world.\n\n2\n00:00:01,600 --> 00:00:03,000\nthis is a test!\n\n",
    );
    expect(await of("vtt")).toBe(
      "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nhello world.\n\n00:00:01.600 --> 00:00:03.000\nthis is a test!\n\n",
    );
  });

  test("streams token by token, then whole, with its tokens", async () => {
    const answer = await ask(wavOf(35), { stream: "true" });
    const events = (await answer.text()).split("\n\n").filter(Boolean);
    const data = events.map((event) => JSON.parse(event.slice(6)));
    const deltas = data.slice(0, -1).map(({ delta }) => delta);
    expect(deltas.slice(0, 4)).toEqual(["hello", " world", ".", " this"]);
    const text = "hello world. this is a test! hello world. this is a test!";
    expect(deltas.join("")).toBe(text);
    expect(data.at(-1)).toMatchObject({ type: "transcript.text.done", text });
    expect(data.at(-1).usage).toMatchObject({ input_tokens: 35 * 50, output_tokens: 24 });
  });

  test("obeys language, task, prompt and temperature", async () => {
    const german = (await (await ask(wavOf(2), { ...verbose, language: "de" })).json()) as Verbose;
    expect(german.language).toBe("german");
    const named = (await (await ask(wavOf(2), { ...verbose, language: "French" })).json()) as Verbose;
    expect(named.language).toBe("french");
    const english = (await (await ask(wavOf(2), verbose, "translations")).json()) as Verbose;
    expect(english.task).toBe("translate");
    const warm = (await (await ask(wavOf(2), { ...verbose, temperature: "0.9" })).json()) as Verbose;
    expect(warm.segments[0]!.temperature).toBe(0.9);
    // The prompt is attended to: the same words, with other certainty.
    const prompted = (await (await ask(wavOf(2), { ...verbose, prompt: "hello world" })).json()) as Verbose;
    expect(prompted.segments[0]!.avg_logprob).not.toBe(german.segments[0]!.avg_logprob);
  });
});

describe("refusals", () => {
  const refusal = async (answer: Promise<Response>) => {
    const { status } = await answer;
    return [status, ((await (await answer).json()) as ErrorBody).error] as const;
  };

  test("a language that nobody speaks, and sound that is none", async () => {
    const [status, error] = await refusal(ask(wavOf(1), { language: "klingon" }));
    expect([status, error.param, error.code]).toEqual([400, "language", "invalid_value"]);
    const [, broken] = await refusal(ask(Buffer.from("junk".repeat(100))));
    expect([broken.param, broken.code]).toEqual(["file", "invalid_value"]);
  });

  test("a recording that holds more than its packets say", async () => {
    const [status, error] = await refusal(ask(wavOf(20), {}, "transcriptions", { [AUDIO_SECONDS_FIELD]: "3" }));
    expect([status, error.param]).toEqual([400, "file"]);
  });

  test("who hangs up leaves, and the others are heard", async () => {
    const gone = new AbortController();
    const form = new FormData();
    form.set("model", "whisper");
    form.set("file", new File([wavOf(300) as Uint8Array<ArrayBuffer>], "a.wav"));
    const long = worker.post("/v1/audio/transcriptions", form, { signal: gone.signal }).catch((error) => error);
    const short = ask(wavOf(1));
    expect((await short).status).toBe(200);
    gone.abort();
    expect(await long).toBeInstanceOf(Error);
    expect((await ask(wavOf(1))).status).toBe(200);
  });
});
