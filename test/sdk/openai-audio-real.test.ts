// Audio through OpenAI's SDKs for Node and Python against the real workers, on a generated Whisper and a generated Kokoro: the
// whole way, in every container and every format.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrorBody } from "@oxbow/contract";
import OpenAI, { toFile } from "openai";
import { writeKokoro } from "../../models/fixtures/kokoro.ts";
import { writeWhisper } from "../../models/fixtures/whisper.ts";
import { KEY } from "../harness.ts";
import { dataWithOnnx } from "../onnx-data.ts";
import { pythonWithClients } from "../python/venv.ts";
import { formOf, needTools, probe, speakInAllFormats, wavOf } from "../recordings.ts";
import { testTraffic, useServer } from "../suite.ts";

const written = (write: (folder: string) => void) => (folder: string) => {
  write(folder);
  return folder;
};
const data = dataWithOnnx({
  ear: {
    write: written(writeWhisper),
    entry: { category: "audio", capabilities: ["transcription", "translation"] },
  },
  mouth: { write: written(writeKokoro), entry: { category: "audio", capabilities: ["speech"] } },
});
afterAll(data.remove);

const server = useServer({ simulate: false, env: { OXBOW_DATA: data.folder } });
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });

let files: Record<string, Buffer>;
let seconds: number;
beforeAll(() => {
  needTools();
  ({ files, seconds } = speakInAllFormats("Hello world. This is a test."));
}, 120_000);

const SAID = "hello world. this is a test!";

describe("transcriptions", () => {
  test("speech in every container is heard", async () => {
    for (const [extension, bytes] of Object.entries(files)) {
      const file = await toFile(bytes, `speech.${extension}`);
      const found = await client().audio.transcriptions.create({ model: "ear", file, response_format: "verbose_json" });
      expect([extension, found.text]).toEqual([extension, SAID]);
      expect(Math.abs(found.duration - seconds)).toBeLessThan(0.15);
    }
  });

  test("each format, and a stream", async () => {
    const file = () => toFile(files.mp3!, "speech.mp3");
    const create = client().audio.transcriptions;
    expect((await create.create({ model: "ear", file: await file() })).text).toBe(SAID);
    for (const [response_format, start] of [
      ["text", SAID],
      ["srt", "1\n00:00:00,000 --> 00:00:01,500\nhello world."],
      ["vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nhello world."],
    ] as const) {
      expect((await create.create({ model: "ear", file: await file(), response_format })) as string).toStartWith(start);
    }
    const stream = await create.create({ model: "ear", file: await file(), stream: true });
    const deltas: string[] = [];
    let last = "";
    for await (const event of stream) {
      if (event.type === "transcript.text.delta") deltas.push(event.delta);
      if (event.type === "transcript.text.done") last = event.text;
    }
    expect(deltas.length).toBeGreaterThan(5);
    expect([deltas.join(""), last]).toEqual([SAID, SAID]);
    const words = await create.create({
      model: "ear",
      file: await file(),
      response_format: "verbose_json",
      timestamp_granularities: ["word", "segment"],
    });
    expect(words.words!.map(({ word }) => word).join(" ")).toBe(SAID);
    expect(words.segments!.map(({ text }) => text.trim()).join(" ")).toBe(SAID);
    const english = await client().audio.translations.create({ model: "ear", file: await file() });
    expect(english).toEqual({ text: SAID });
  });

  test("what holds more than its packets say, lies about its length or is cut short fills no memory", async () => {
    const before = memoryOf(server().pid);
    // A head that promises four gigabytes, and recordings of which half is missing: what is there is heard.
    const promising = wavOf(4);
    promising.writeUInt32LE(0xffff_fff0, 4);
    promising.writeUInt32LE(0xffff_ffd0, 40);
    for (const bytes of [promising, files.flac!.subarray(0, files.flac!.length / 2), files.mp3!.subarray(0, 5_000)]) {
      const answer = await post({ model: "ear" }, bytes);
      expect(answer.status).toBe(200);
    }
    for (const bytes of [
      files.m4a!.subarray(0, files.m4a!.length / 2),
      Buffer.alloc(26_000_000),
      Buffer.from("OggS"),
    ]) {
      const answer = await post({ model: "ear" }, bytes);
      expect(answer.status).toBe(400);
      expect(((await answer.json()) as ErrorBody).error).toMatchObject({ param: "file", code: "invalid_value" });
    }
    expect(memoryOf(server().pid) - before).toBeLessThan(400e6);
  });

  test("a body of more than 25 MiB is refused", async () => {
    const answer = await post({ model: "ear" }, Buffer.alloc(26_214_400));
    expect(answer.status).toBe(413);
    expect(((await answer.json()) as ErrorBody).error.message).toMatch(
      /^Maximum content size limit \(26214400\) exceeded \(\d+ bytes read\)$/,
    );
  });

  test("a form of a hundred parts is read, and one of more is refused", async () => {
    const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`field${at}`, "x"]));
    expect((await post({ model: "ear", ...fields(98) }, wavOf(1))).status).toBe(200);
    expect((await post({ model: "ear", ...fields(99) }, wavOf(1))).status).toBe(400);
  });
});

describe("speech", () => {
  test("each format is what it says, whole and as events", async () => {
    const call = { model: "mouth", voice: "heart", input: "Hello world. And one more sentence." } as const;
    const pcm = await (await client().audio.speech.create({ ...call, response_format: "pcm" })).arrayBuffer();
    const length = pcm.byteLength / 2 / 24_000;
    expect(length).toBeGreaterThan(0.5);
    for (const response_format of ["mp3", "opus", "aac", "flac", "wav"] as const) {
      const answer = await client().audio.speech.create({ ...call, response_format });
      const found = probe(Buffer.from(await answer.arrayBuffer()));
      expect([response_format, Math.abs(found.seconds - length) < 0.15]).toEqual([response_format, true]);
    }
    const events = await client().audio.speech.create({ ...call, response_format: "pcm", stream_format: "sse" });
    const data = (await events.text()).split("\n\n").filter(Boolean);
    const audio = data.flatMap((each) => {
      const { audio } = JSON.parse(each.slice(6)) as { audio?: string };
      return audio === undefined ? [] : [Buffer.from(audio, "base64")];
    });
    expect(Buffer.concat(audio).equals(Buffer.from(pcm))).toBe(true);
    expect(JSON.parse(data.at(-1)!.slice(6)).type).toBe("speech.audio.done");
  });

  test("what the model cannot be told is refused by its name", async () => {
    const call = client().audio.speech.create({
      model: "mouth",
      voice: "heart",
      input: "Hi.",
      instructions: "Whisper.",
    });
    expect(await call.catch((error) => error)).toMatchObject({ status: 400, param: "instructions" });
    const nobody = client().audio.speech.create({ model: "mouth", voice: "nobody", input: "Hi." });
    expect((await nobody.catch((error) => error)).message).toContain("Supported values are: 'af_heart', 'am_echo'");
  });

  test("what was said can be heard", async () => {
    const said = await client().audio.speech.create({ model: "mouth", voice: "bf_emma", input: "Hello world." });
    const file = await toFile(Buffer.from(await said.arrayBuffer()), "said.mp3");
    expect((await client().audio.transcriptions.create({ model: "ear", file })).text).toContain("hello");
  });
});

test("the client for Python hears and speaks the same", async () => {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-python-audio-"));
  const file = join(folder, "speech.flac");
  writeFileSync(file, files.flac!);
  const question = { ear: "ear", mouth: "mouth", voice: "heart", file };
  const child = Bun.spawn([pythonWithClients(), join(import.meta.dir, "../python/real_audio.py")], {
    stdin: new TextEncoder().encode(JSON.stringify(question)),
    stderr: "inherit",
    env: {
      PATH: process.env.PATH,
      OPENAI_BASE_URL: server().baseUrl,
      OPENAI_API_KEY: KEY,
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  const found = JSON.parse(await child.stdout.text());
  rmSync(folder, { recursive: true });
  expect(found).toMatchObject({ json: SAID, text: `${SAID}\n`, words: SAID.split(" "), translation: SAID });
  expect(found.deltas.join("")).toBe(SAID);
  expect(found.srt).toStartWith("1\n00:00:00,000 --> 00:00:01,500\nhello world.");
  expect(found.vtt).toStartWith("WEBVTT\n\n00:00:00.000 -->");
  for (const size of Object.values(found.sizes)) expect(size).toBeGreaterThan(1_000);
}, 300_000);

function post(fields: Record<string, string>, file: Uint8Array): Promise<Response> {
  const { body, headers } = formOf(fields, file);
  const authorization = `Bearer ${KEY}`;
  const url = `http://127.0.0.1:${server().port}/v1/audio/transcriptions`;
  return fetch(url, { method: "POST", body: body as Uint8Array<ArrayBuffer>, headers: { ...headers, authorization } });
}

/** Bytes that a process has in memory. */
function memoryOf(pid: number): number {
  const { stdout } = Bun.spawnSync(["ps", "-o", "rss=", "-p", String(pid)]);
  return Number(stdout.toString().trim()) * 1024;
}

testTraffic(server);
