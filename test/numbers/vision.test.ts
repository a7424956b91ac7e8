// What a model that sees says, against the same model in numpy: the encoder of images, the projection, the language model and
// the tokenizer, from the same two files.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { ChatCompletion } from "@oxbow/contract";
import sharp from "sharp";
import { IMAGE, VISION_CONTEXT, writeVision } from "../../models/fixtures/vision.ts";
import { startWarm, type TestWorker, temporaryDirectory } from "../../workers/llama/testing.ts";
import { pythonWithModels } from "../python/venv.ts";
import { reference } from "./reference.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
const folder = join(directory.path, "model");
const TOKENS = 12;

interface Call {
  texts: string[];
  images: string[];
}
interface Reference {
  said: string;
  count: number;
  certain: boolean;
  prompt: number;
}

let worker: TestWorker;
/** Tokens that both were certain of. */
let compared = 0;
let calls: Call[];
let expected: Reference[];

beforeAll(async () => {
  pythonWithModels();
  writeVision(folder, 21);
  const model = { category: "vision", capabilities: ["vision"], contextTokens: VISION_CONTEXT };
  worker = await startWarm(join(folder, "model.gguf"), directory.path, { program: "vision/main.ts", slots: 1, model });
  const [red, noise, half] = [await plain("#e01020"), await noisy(1), await striped()];
  calls = [
    { texts: ["What is this?"], images: [red] },
    { texts: ["What is this?"], images: [noise] },
    { texts: ["Which model answers?"], images: [half] },
    { texts: ["first", "second"], images: [red, half] },
    { texts: ["first", "second"], images: [half, red] },
    { texts: ["No image at all"], images: [] },
    { texts: ["a", "b", "c", "d"], images: [noise, await noisy(2), await noisy(3), red] },
  ];
  expected = await reference("vision.py", {
    folder,
    calls: calls.map(({ texts, images }) => ({ prompt: promptOf(texts, images.length), images, tokens: TOKENS })),
  });
}, 300_000);
afterAll(async () => {
  await worker?.stop();
  directory.remove();
});

const urlOf = (bytes: Buffer) => `data:image/png;base64,${bytes.toString("base64")}`;
const { side } = IMAGE;
const raw = { raw: { width: side, height: side, channels: 3 } } as const;

async function plain(background: string): Promise<string> {
  return urlOf(
    await sharp({ create: { width: side, height: side, channels: 3, background } })
      .png()
      .toBuffer(),
  );
}
async function noisy(seed: number): Promise<string> {
  const bytes = Buffer.from(
    Array.from({ length: side * side * 3 }, (_, at) => Math.imul(at + 1, seed * 2654435761) >>> 24),
  );
  return urlOf(await sharp(bytes, raw).png().toBuffer());
}
async function striped(): Promise<string> {
  const bytes = Buffer.from(Array.from({ length: side * side * 3 }, (_, at) => ((at / 3 / 4) % 2 < 1 ? 230 : 20)));
  return urlOf(await sharp(bytes, raw).png().toBuffer());
}

/** Each text behind its image, as the worker puts the parts of a message, in the turns of the model's template. */
function promptOf(texts: string[], images: number): string {
  const content = texts.map((text, at) => (at < images ? `<__media__>\n${text}` : text)).join("\n");
  return `<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`;
}

async function say({ texts, images }: Call): Promise<ChatCompletion> {
  const content = texts.flatMap((text, at) => [
    ...(images[at] ? [{ type: "image_url", image_url: { url: images[at] } }] : []),
    { type: "text", text },
  ]);
  const messages = [{ role: "user", content }];
  return worker.json("/v1/chat/completions", {
    model: "test",
    messages,
    temperature: 0,
    max_completion_tokens: TOKENS,
  });
}

test.each([0, 1, 2, 3, 4, 5, 6])("call %d: the same tokens go in, and the same text comes out", async (at) => {
  const answer = await say(calls[at]!);
  const { said, count, certain, prompt } = expected[at]!;
  expect(answer.usage!.prompt_tokens).toBe(prompt);
  const text = answer.choices[0]!.message.content!;
  // Half a character at the end is no text on either side.
  const clean = (value: string) => value.replaceAll("\ufffd", "");
  if (certain) expect(clean(text)).toBe(clean(said));
  else expect(clean(text)).toStartWith(clean(said));
  compared += count;
});

test("enough of it was certain", () => {
  expect(compared).toBeGreaterThan((calls.length * TOKENS) / 2);
});

test("the answers differ: a comparison that could not fail would prove nothing", () => {
  expect(new Set(expected.map(({ said }) => said)).size).toBe(calls.length);
});
