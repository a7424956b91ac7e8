// Images in messages through the whole house: the official client, the gateway, and a model that sees, which the test makes.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import sharp from "sharp";
import { writeVision } from "../../models/fixtures/vision.ts";
import { adminPlan, dataWith } from "../data.ts";
import { KEY } from "../harness.ts";
import { openFiles } from "../images.ts";
import { testTraffic, useServer } from "../suite.ts";

const SEES = "gemma-3-4b";
const folder = mkdtempSync(join(tmpdir(), "oxbow-vision-"));
writeVision(folder);
const data = dataWith(
  ({ engines }) => {
    delete engines.tiny;
    delete engines.simulator;
    engines.eyes = { kind: "vision", models: [{ id: SEES, file: join(folder, "model.gguf") }], slots: 2, threads: 1 };
  },
  adminPlan({ requestsPerMinute: null, outputTokensMax: null }),
);
const square = (background: string) => sharp({ create: { width: 300, height: 300, channels: 3, background } });
const [red, blue] = [await square("#f00").webp({ lossless: true }).toBuffer(), await square("#00f").png().toBuffer()];
const files = openFiles({ "/red.webp": { bytes: red } });
// The catalogue knows a longer context than the small model has.
const server = useServer({ env: { OXBOW_DATA: data.folder, OXBOW_FETCH_ALLOW: files.origin } });
afterAll(() => {
  files.stop();
  data.remove();
  rmSync(folder, { recursive: true });
});

const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const image = (url: string, detail?: "low" | "high") => ({
  type: "image_url" as const,
  image_url: { url, ...(detail && { detail }) },
});
const dataUrl = (bytes: Buffer, type: string) => `data:image/${type};base64,${bytes.toString("base64")}`;
async function look(...parts: ReturnType<typeof image>[]): Promise<string> {
  const content = [...parts, { type: "text" as const, text: "What is this?" }];
  const answer = await client().chat.completions.create({
    model: SEES,
    messages: [{ role: "user", content }],
    temperature: 0,
    max_completion_tokens: 8,
  });
  expect(answer.usage!.completion_tokens).toBeLessThanOrEqual(8);
  return answer.choices[0]!.message.content!;
}

test("an image by link and the same as base64 are the same to the model, another one is another", async () => {
  const linked = await look(image(`${files.origin}/red.webp`));
  expect(await look(image(dataUrl(red, "webp")))).toBe(linked);
  expect(await look(image(dataUrl(blue, "png")))).not.toBe(linked);
});

test("several images, with detail, streamed", async () => {
  const parts = [image(dataUrl(blue, "png"), "low"), image(dataUrl(red, "webp"), "high")];
  const whole = await look(...parts);
  let text = "";
  const stream = await client().chat.completions.create({
    model: SEES,
    messages: [{ role: "user", content: [...parts, { type: "text", text: "What is this?" }] }],
    temperature: 0,
    max_completion_tokens: 8,
    stream: true,
  });
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  expect(text).toBe(whole);
});

testTraffic(server);
