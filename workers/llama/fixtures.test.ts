import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { getLlama, type Llama, readGgufFileInfo } from "node-llama-cpp";
import { CHAT_TEMPLATE } from "../../models/tiny/chat-template.ts";
import {
  corruptFiles,
  tinyBrokenTemplate,
  tinyRandom,
  tinyReason,
  tinyScripted,
  tinyTools,
  tinyTwoTools,
} from "./fixtures.ts";

const directory = mkdtempSync(join(tmpdir(), "oxbow-fixtures-"));
let llama: Llama;

beforeAll(async () => {
  llama = await getLlama({ gpu: false, build: "never", maxThreads: 1 });
});
afterAll(async () => {
  await llama.dispose();
  rmSync(directory, { recursive: true });
});

const paris = '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Paris"}}\n</tool_call>';
const scripts: [make: (directory: string) => string, script: string][] = [
  [tinyScripted, "Hello! How can I help you today?"],
  [tinyTools, paris],
  [tinyTwoTools, `${paris}\n${paris.replace("Paris", "Tokyo")}`],
  [tinyReason, "<think> Let me think about it.</think>Hello!"],
  [tinyBrokenTemplate, "Hello!"],
];
for (const [make, script] of scripts)
  test(`${make.name} recites its script in the real engine and stops`, async () => {
    expect(await greedy(make(directory))).toBe(script);
  });

test("the noise model loads, answers, and is the same file each time", async () => {
  const path = tinyRandom(directory);
  const bytes = readFileSync(path);
  expect(await greedy(path)).not.toBe("");
  expect(readFileSync(tinyRandom(directory)).equals(bytes)).toBe(true);
});

test("the broken template is in its file, and no parser takes it", async () => {
  const { metadata } = await readGgufFileInfo(tinyBrokenTemplate(directory), { logWarnings: false });
  expect(() => new Template(metadata.tokenizer.chat_template!)).toThrow();
});

test("every corrupt file has a fault of its own, and none is the sound model", () => {
  const sound = readFileSync(tinyRandom(directory));
  const files = corruptFiles(join(directory, "corrupt"));
  expect(files.length).toBeGreaterThan(18);
  const hashes = new Set(files.map(({ path }) => Bun.hash(readFileSync(path))));
  expect(hashes.size).toBe(files.length);
  expect(hashes.has(Bun.hash(sound))).toBe(false);
  for (const { path } of files) expect(statSync(path).size).toBeLessThan(1_000_000);
});

/** The answer to "Hi" at temperature 0, at most 40 tokens. */
async function greedy(path: string): Promise<string> {
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({ contextSize: 256, threads: 1 });
  const prompt = new Template(CHAT_TEMPLATE).render({
    messages: [{ role: "user", content: "Hi" }],
    add_generation_prompt: true,
  });
  const tokens = [];
  for await (const token of context.getSequence().evaluate(model.tokenize(prompt, true), { temperature: 0 })) {
    tokens.push(token);
    if (tokens.length === 40) break;
  }
  const text = model.detokenize(tokens, true);
  await context.dispose();
  await model.dispose();
  return text;
}
