// The whole matrix: each call of each modality, from Node and from Python, to the real workers and to the simulator. What
// comes back is opened by others: ffprobe, sharp.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import sharp from "sharp";
import { KEY } from "../harness.ts";
import { openFiles } from "../images.ts";
import { warm } from "../onnx-data.ts";
import { pythonWithClients } from "../python/venv.ts";
import { needTools, probe, speakInAllFormats } from "../recordings.ts";
import { testTraffic, useServer } from "../suite.ts";
import { openTwins, twinOf } from "../twins.ts";
import { askAll, type Cells, type Found, type Question } from "./matrix.ts";

const icon = await sharp({ create: { width: 64, height: 64, channels: 4, background: "#0c0" } })
  .png()
  .toBuffer();
const hole = await sharp(icon).resize(24).toBuffer();
const mask = await sharp(icon)
  .composite([{ input: hole, left: 8, top: 8, blend: "dest-out" }])
  .png()
  .toBuffer();
const files = openFiles({ "/icon.png": { bytes: icon } });
const twins = openTwins();
const env = { OXBOW_DATA: twins.folder, OXBOW_FETCH_ALLOW: files.origin };
const server = useServer({ simulate: true, env });
afterAll(() => {
  files.stop();
  twins.remove();
});

const CLIENTS = ["Node", "Python"] as const;
const SERVED = ["real", "simulated"] as const;
type Key = `${(typeof CLIENTS)[number]}, ${(typeof SERVED)[number]}`;
const found = {} as Record<Key, Cells>;

beforeAll(async () => {
  needTools();
  const { files: recordings } = speakInAllFormats("Hello world. This is a test.");
  await warm(server(), Object.keys(twins.models));
  for (const served of SERVED) {
    const id = (model: string) => (served === "real" ? model : twinOf(model));
    const question: Question = {
      models: { text: id("text"), ear: id("ear"), mouth: id("mouth"), brush: id("brush"), eyes: id("eyes") },
      recording: recordings.mp3!.toString("base64"),
      icon: icon.toString("base64"),
      mask: mask.toString("base64"),
      link: `${files.origin}/icon.png`,
    };
    found[`Node, ${served}`] = await askAll(question, server().baseUrl, KEY);
    found[`Python, ${served}`] = await askPython(question);
  }
}, 300_000);

async function askPython(question: Question): Promise<Cells> {
  const child = Bun.spawn([pythonWithClients(), join(import.meta.dir, "../python/matrix.py")], {
    stdin: new TextEncoder().encode(JSON.stringify(question)),
    stderr: "inherit",
    env: {
      PATH: process.env.PATH,
      OPENAI_BASE_URL: server().baseUrl,
      OPENAI_API_KEY: KEY,
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  return (await child.stdout.json()) as Cells;
}

const HEARD = {
  real: "hello world. this is a test!",
  simulated: "This is a simulated transcript.",
};
const SOUNDS = ["mp3", "opus", "aac", "flac", "wav", "pcm"] as const;
const RAW = ["-f", "s16le", "-ar", "24000", "-ac", "1"];

/** What each call must have come to. @param text what a recording is heard as */
const CELLS: Record<string, (found: Found, text: string) => unknown> = {
  "embeddings by default": (cell) => vectorsOf(cell, 64),
  "embeddings as float": (cell) => vectorsOf(cell, 64),
  "embeddings cut": (cell) => vectorsOf(cell, 16),
  "embeddings of tokens": (cell) => vectorsOf(cell, 64),
  ...paintings("images.generate", "image_generation"),
  ...paintings("images.edit", "image_edit"),
  ...transcripts("audio.transcriptions"),
  ...transcripts("audio.translations"),
  "audio.transcriptions with words": (cell, text) => expect(cell.text).toStartWith(text),
  "audio.transcriptions streamed": (cell, text) => {
    expect(cell.events).toEqual(["transcript.text.delta", "transcript.text.done"]);
    expect(cell.text).toStartWith(text);
  },
  ...Object.fromEntries(
    SOUNDS.flatMap((format) => [
      [`audio.speech as ${format}`, (cell: Found) => soundOf(cell, format)],
      [`audio.speech as ${format}, streamed`, (cell: Found) => soundOf(cell, format)],
      [
        `audio.speech as ${format}, in events`,
        (cell: Found) => {
          expect(cell.events).toEqual(["speech.audio.delta", "speech.audio.done"]);
          soundOf(cell, format);
        },
      ],
    ]),
  ),
  "an image in a message by link": (cell) => expect(cell.text!.length).toBeGreaterThan(0),
  "an image in a message as base64": (cell) => expect(cell.text!.length).toBeGreaterThan(0),
  "images in a message, streamed": (cell) => expect(cell.text!.length).toBeGreaterThan(0),
};

function vectorsOf({ vectors }: Found, length: number): void {
  expect(vectors).toHaveLength(2);
  for (const vector of vectors!) {
    expect(vector).toHaveLength(length);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
  }
}

function paintings(call: string, events: string): typeof CELLS {
  return {
    [`${call} by link`]: async ({ url }) => {
      const answer = await fetch(url!);
      expect(answer.headers.get("content-type")).toBe("image/png");
      await imageOf(Buffer.from(await answer.arrayBuffer()), "png");
    },
    [`${call} as base64`]: async ({ images }) => {
      expect(images).toHaveLength(2);
      for (const image of images!) await imageOf(Buffer.from(image, "base64"), "webp");
    },
    [`${call} streamed`]: async (cell) => {
      expect(cell.events).toEqual([`${events}.partial_image`, `${events}.completed`]);
      for (const image of cell.images!) await imageOf(Buffer.from(image, "base64"), "png");
    },
  };
}

async function imageOf(bytes: Buffer, format: string): Promise<void> {
  // Decoded, and not only its head read.
  const { info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  expect([(await sharp(bytes).metadata()).format, info.width, info.height]).toEqual([format as "png", 64, 64]);
}

function transcripts(call: string): typeof CELLS {
  return {
    [`${call} as json`]: (cell, text) => expect(cell.text).toStartWith(text),
    [`${call} as verbose_json`]: (cell, text) => expect(cell.text).toStartWith(text),
    [`${call} as text`]: (cell, text) => expect(cell.text).toStartWith(text),
    [`${call} as srt`]: ({ text }) => expect(text).toMatch(/^1\n00:00:00,000 --> 00:00:0\d,\d{3}\n\w/),
    [`${call} as vtt`]: ({ text }) => expect(text).toMatch(/^WEBVTT\n\n00:00:00\.000 --> 00:00:0\d\.\d{3}\n\w/),
  };
}

function soundOf({ sound }: Found, format: (typeof SOUNDS)[number]): void {
  const probed = probe(Buffer.from(sound!, "base64"), format === "pcm" ? RAW : []);
  expect(probed.codec).toBe(format === "wav" || format === "pcm" ? "pcm_s16le" : format);
  expect(probed.seconds).toBeGreaterThan(0.5);
}

describe.each(SERVED)("%s", (served) => {
  describe.each(CLIENTS)("%s", (language) => {
    test("every call is in the matrix", () => {
      expect(Object.keys(found[`${language}, ${served}`]).sort()).toEqual(Object.keys(CELLS).sort());
    });

    test.each(Object.keys(CELLS))("%s", async (name) => {
      const cell = found[`${language}, ${served}`][name]!;
      expect(cell.error).toBeUndefined();
      await CELLS[name]!(cell, HEARD[served]);
    });
  });

  test("both clients got the same", () => {
    const same = (cell: Found): Found => {
      // A link is new each time, and a stream of Ogg has a serial number of its own.
      const { url: _, sound: __, vectors, ...rest } = cell;
      return { ...rest, ...(vectors && { vectors: vectors.map((vector) => vector.map((each) => Math.fround(each))) }) };
    };
    for (const name of Object.keys(CELLS)) {
      const [node, python] = CLIENTS.map((language) => same(found[`${language}, ${served}`][name]!));
      expect([name, node]).toEqual([name, python]);
    }
  });
});

testTraffic(server);
