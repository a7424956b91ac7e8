// Audio through OpenAI's SDK for Node, against the simulator: every call, every format, whole and streamed. What goes in is
// real speech in every container, and what comes out is opened by ffprobe.

import { beforeAll, describe, expect, test } from "bun:test";
import OpenAI, { toFile } from "openai";
import { KEY } from "../harness.ts";
import { needTools, probe, speakInAllFormats } from "../recordings.ts";
import { testTraffic, useServer } from "../suite.ts";

const HEARS = "whisper-medium";
const SPEAKS = "kokoro-82m";
const server = useServer();
const client = () => new OpenAI({ apiKey: KEY, baseURL: server().baseUrl, maxRetries: 0 });

let files: Record<string, Buffer>;
let seconds: number;
beforeAll(() => {
  needTools();
  ({ files, seconds } = speakInAllFormats("Hello world. This is a test of every format, and of its length."));
}, 120_000);

const wav = () => toFile(files.wav!, "speech.wav");

describe("transcriptions", () => {
  test("speech in every container is measured, whatever the file is called", async () => {
    for (const [extension, bytes] of Object.entries(files)) {
      const file = await toFile(bytes, `speech.${extension}`);
      const { usage, text } = await client().audio.transcriptions.create({ model: HEARS, file });
      expect([extension, usage]).toEqual([extension, { type: "duration", seconds: Math.ceil(seconds) }]);
      expect(text).toStartWith("This is a simulated transcript.");
    }
    const blob = await client().audio.transcriptions.create({ model: HEARS, file: await toFile(files.webm!, "blob") });
    expect(blob.text).not.toBe("");
  });

  test("each format has its shape and its content type", async () => {
    const model = HEARS;
    const ask = async (response_format: "json" | "text" | "srt" | "verbose_json" | "vtt") => {
      const call = client().audio.transcriptions.create({ model, file: await wav(), response_format });
      const { data, response } = await call.withResponse();
      return [data as unknown, response.headers.get("content-type")] as const;
    };
    const text = "text/plain; charset=utf-8";
    expect(await ask("text")).toEqual([expect.stringMatching(/^This is a simulated/), text]);
    const cue = /^1\n00:00:00,000 --> 00:00:0\d,\d{3}\nThis is a simulated transcript\.\n\n(2\n|$)/;
    expect(await ask("srt")).toEqual([expect.stringMatching(cue), text]);
    expect(await ask("vtt")).toEqual([expect.stringMatching(/^WEBVTT\n\n00:00:00\.000 --> 00:00:0\d\.\d{3}\n/), text]);
    const [verbose, type] = await ask("verbose_json");
    expect(type).toBe("application/json");
    expect(verbose).toMatchObject({ task: "transcribe", language: "english", duration: expect.closeTo(seconds, 1) });
    expect((verbose as { words?: unknown }).words).toBeUndefined();
    expect((verbose as { segments: { id: number }[] }).segments[0]).toMatchObject({ id: 0, start: 0, seek: 0 });
  });

  test("words come when they are asked for, inside of the recording and in order", async () => {
    const answer = await client().audio.transcriptions.create({
      model: HEARS,
      file: await wav(),
      response_format: "verbose_json",
      timestamp_granularities: ["word"],
      language: "de",
      prompt: "A prompt.",
      temperature: 0.5,
    });
    expect(answer.language).toBe("german");
    expect(answer.segments).toBeUndefined();
    const words = answer.words!;
    expect(words.map(({ word }) => word).join(" ")).toBe(answer.text);
    for (const [index, { start, end }] of words.entries()) {
      expect(end).toBeGreaterThan(start);
      expect(start).toBe(words[index - 1]?.end ?? 0);
    }
    expect(words.at(-1)!.end).toBeLessThanOrEqual(seconds);
  });

  test("a stream says the text in pieces, then whole with its tokens", async () => {
    const stream = await client().audio.transcriptions.create({ model: HEARS, file: await wav(), stream: true });
    let text = "";
    let done: OpenAI.Audio.TranscriptionTextDoneEvent | undefined;
    for await (const event of stream) {
      if (event.type === "transcript.text.delta") text += event.delta;
      if (event.type === "transcript.text.done") done = event;
    }
    expect(done!.text).toBe(text);
    expect(done!.usage!.input_tokens).toBe(Math.ceil(seconds * 50));
  });

  test("a translation is a text and nothing else", async () => {
    const answer = await client().audio.translations.create({ model: HEARS, file: await wav() });
    expect(Object.keys(answer)).toEqual(["text"]);
    const verbose = await client().audio.translations.create({
      model: HEARS,
      file: await wav(),
      response_format: "verbose_json",
    });
    expect(verbose).toMatchObject({ task: "translate", duration: expect.closeTo(seconds, 1) });
  });
});

describe("speech", () => {
  const input = "Speech as long as this text, in every format there is.";
  const length = input.length * 0.06;
  const TYPES = {
    mp3: ["audio/mpeg", "mp3"],
    opus: ["audio/ogg", "opus"],
    aac: ["audio/aac", "aac"],
    flac: ["audio/flac", "flac"],
    wav: ["audio/wav", "pcm_s16le"],
    pcm: ["audio/pcm", "pcm_s16le"],
  } as const;

  test.each(Object.keys(TYPES) as (keyof typeof TYPES)[])(
    "%s is what it says, as long as it should be",
    async (format) => {
      const answer = await client().audio.speech.create({
        model: SPEAKS,
        voice: "alloy",
        input,
        response_format: format,
      });
      const [type, codec] = TYPES[format];
      expect(answer.headers.get("content-type")).toBe(type);
      const raw = format === "pcm" ? ["-f", "s16le", "-ar", "24000", "-ac", "1"] : [];
      const found = probe(Buffer.from(await answer.arrayBuffer()), raw);
      expect(found.codec).toBe(codec);
      expect(Math.abs(found.seconds - length)).toBeLessThan(0.15);
    },
  );

  test("the format is mp3 when none is said, and speed makes it shorter", async () => {
    const answer = await client().audio.speech.create({ model: SPEAKS, voice: "alloy", input, speed: 2 });
    expect(answer.headers.get("content-type")).toBe("audio/mpeg");
    expect(Math.abs(probe(Buffer.from(await answer.arrayBuffer())).seconds - length / 2)).toBeLessThan(0.15);
  });

  test("a stream of events holds the same bytes as the whole", async () => {
    const call = { model: SPEAKS, voice: "alloy", input, response_format: "wav" } as const;
    const whole = Buffer.from(await (await client().audio.speech.create(call)).arrayBuffer());
    const answer = await client().audio.speech.create({ ...call, stream_format: "sse" });
    const events = (await answer.text()).split("\n\n").filter((event) => event !== "");
    const data = events.map((event) => JSON.parse(event.slice("data: ".length)) as { type: string; audio?: string });
    const audio = data.flatMap((event) => (event.audio === undefined ? [] : [Buffer.from(event.audio, "base64")]));
    expect(Buffer.concat(audio)).toEqual(whole);
    expect(data.at(-1)).toMatchObject({ type: "speech.audio.done", usage: { input_tokens: input.length } });
  });

  test("the same key again gets the same bytes, and is not counted twice", async () => {
    const call = { model: SPEAKS, voice: "alloy", input } as const;
    const headers = { "idempotency-key": `speech-${process.pid}` };
    const first = await client().audio.speech.create(call, { headers });
    const bytes = Buffer.from(await first.arrayBuffer());
    const second = await client().audio.speech.create(call, { headers });
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect(second.headers.get("content-type")).toBe("audio/mpeg");
    expect(Buffer.from(await second.arrayBuffer())).toEqual(bytes);
    const form = { model: HEARS, file: await wav() };
    const key = { headers: { "idempotency-key": `hear-${process.pid}` } };
    await client().audio.transcriptions.create(form, key);
    const again = await client()
      .audio.transcriptions.create({ ...form, file: await wav() }, key)
      .withResponse();
    expect(again.response.headers.get("idempotent-replayed")).toBe("true");
  });
});

describe("refusals", () => {
  const refusal = async (call: Promise<unknown>) => {
    const error = await call.then(
      () => null,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(OpenAI.APIError);
    const { status, code, param, message } = error as InstanceType<typeof OpenAI.APIError>;
    return { status, code, param, message };
  };
  const hear = (file: Parameters<typeof toFile>[0], name: string, more: object = {}) =>
    toFile(file, name).then((each) =>
      refusal(client().audio.transcriptions.create({ model: HEARS, file: each, ...more } as never)),
    );

  test("what is no recording is refused, however it pretends to be one", async () => {
    const junk = Buffer.from("this is no recording at all, whatever it is called".repeat(20));
    const corrupted = { status: 400, code: "invalid_value", param: "file" };
    const polyglot = Buffer.concat([Buffer.from("GIF89a"), files.wav!.subarray(4)]);
    const zip = Buffer.concat([Buffer.from("PK\u0003\u0004"), junk]);
    for (const bytes of [
      junk,
      files.wav!.subarray(0, 30),
      files.m4a!.subarray(0, 40),
      polyglot,
      zip,
      Buffer.alloc(4096),
    ]) {
      const found = await hear(bytes, "a.wav");
      expect(found).toMatchObject(corrupted);
      expect(found.message).toContain("Audio file might be corrupted or unsupported");
    }
    expect(await hear(Buffer.alloc(0), "a.wav")).toMatchObject({
      ...corrupted,
      message: "400 The audio file is empty.",
    });
  });

  test("an extension that no recording has is refused by its name", async () => {
    const found = await hear(files.wav!, "a.bin");
    expect(found).toMatchObject({ status: 400, code: "unsupported_value", param: "file" });
    expect(found.message).toStartWith("400 Unsupported file format bin");
  });

  test("another extension than the bytes are is no reason", async () => {
    const file = await toFile(files.ogg!, "a.mp3");
    expect((await client().audio.transcriptions.create({ model: HEARS, file })).text).not.toBe("");
  });

  test("a parameter that cannot be obeyed is refused by its name", async () => {
    const wants = async (more: object) => hear(files.wav!, "a.wav", more);
    expect(await wants({ response_format: "diarized_json" })).toMatchObject({ code: "unsupported_value" });
    expect(await wants({ include: ["logprobs"] })).toMatchObject({ param: "include" });
    expect(await wants({ timestamp_granularities: ["word"] })).toMatchObject({ param: "timestamp_granularities" });
    expect(await wants({ temperature: 3 })).toMatchObject({ code: "decimal_above_max_value" });
    expect(await wants({ response_format: "xml" })).toMatchObject({ code: "invalid_value" });
    expect(await wants({ stream: true, response_format: "srt" })).toMatchObject({ param: "response_format" });
    const turbo = toFile(files.wav!, "a.wav").then((file) =>
      client().audio.translations.create({ model: "whisper-turbo", file }),
    );
    expect(await refusal(turbo)).toMatchObject({ status: 400, param: "model" });
    const chat = client().audio.speech.create({ model: HEARS, voice: "a", input: "b" });
    expect((await refusal(chat)).message).toContain(`\`${HEARS}\` does not speak here.`);
  });
});

testTraffic(server);
