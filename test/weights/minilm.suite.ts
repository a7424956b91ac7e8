// Real weights through the whole house: all-MiniLM-L6-v2 on the onnx worker, asked by OpenAI's client. Its vectors are those
// that its makers publish and those of numpy on the same file, and what means the same is near.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { KEY } from "../harness.ts";
import { reference } from "../numbers/reference.ts";
import { dataWithOnnx, warm } from "../onnx-data.ts";
import { pythonWithModels } from "../python/venv.ts";
import { testTraffic, useServer } from "../suite.ts";
import { publishedFiles, writeMinilm } from "./minilm.ts";

// The weights may still have to come.
publishedFiles();
pythonWithModels();

const MODEL = "all-minilm-l6-v2";
const data = dataWithOnnx({
  [MODEL]: {
    write: (folder) => {
      writeMinilm(folder);
      return folder;
    },
    // Pooling is what its own files say.
    entry: { category: "embeddings", contextTokens: 512, dimensions: 384 },
  },
});
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
setDefaultTimeout(300_000);
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });

beforeAll(() => warm(server(), [MODEL]), 90_000);

const embed = async (input: string[]) => {
  const { data: vectors, usage } = await client().embeddings.create({ model: MODEL, input });
  return { vectors: vectors.map(({ embedding }) => embedding), tokens: usage.prompt_tokens };
};
const cosine = (a: number[], b: number[]) => a.reduce((sum, each, at) => sum + each * b[at]!, 0);

// Source: sbert.net, "Computing Embeddings" and "Semantic Textual Similarity", read 2026-11-21.
test("texts are as near as its makers' documentation says, to four digits", async () => {
  const [lovely, sunny, stadium] = (
    await embed(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
  ).vectors as [number[], number[], number[]];
  expect(cosine(lovely, sunny)).toBeCloseTo(0.666, 4);
  expect(cosine(lovely, stadium)).toBeCloseTo(0.1046, 4);
  expect(cosine(sunny, stadium)).toBeCloseTo(0.1411, 4);

  const ours = (await embed(["The new movie is awesome", "The cat sits outside", "A man is playing guitar"])).vectors;
  const theirs = (await embed(["The dog plays in the garden", "The new movie is so great", "A woman watches TV"]))
    .vectors;
  const said = [0.0543, 0.8939, -0.0502, 0.2838, -0.0029, 0.131, 0.2277, -0.0136, -0.0327];
  const found = ours.flatMap((one) => theirs.map((other) => cosine(one, other)));
  for (const [at, value] of found.entries()) expect(value).toBeCloseTo(said[at]!, 4);
});

const PAIRS: [string, string][] = [
  ["How do I reset my password?", "I forgot my login and need a new one."],
  ["The restaurant was closed when we arrived.", "We got there and the diner had already shut."],
  ["Heavy rain is expected tomorrow afternoon.", "The forecast says it will pour after noon on the next day."],
  ["The company's profits fell sharply last quarter.", "Earnings of the firm dropped a lot in the past three months."],
  [
    "She has been learning the violin since childhood.",
    "From an early age on she took lessons on a string instrument.",
  ],
  ["The patch fixes a memory leak in the parser.", "A bug by which parsing used up more and more RAM is repaired."],
  ["Our flight to Madrid was delayed by two hours.", "The plane to Spain left two hours late."],
  ["Bake the bread at 220 degrees for half an hour.", "The loaf goes into the oven for thirty minutes."],
];

test("what means the same is nearer than anything else, in other words", async () => {
  const ones = (await embed(PAIRS.map(([one]) => one))).vectors;
  const others = (await embed(PAIRS.map(([, other]) => other))).vectors;
  for (const [at, one] of ones.entries()) {
    const scores = others.map((other) => cosine(one, other));
    expect([PAIRS[at]![0], scores.indexOf(Math.max(...scores))]).toEqual([PAIRS[at]![0], at]);
    const unrelated = Math.max(...scores.filter((_, other) => other !== at));
    expect(scores[at]! - unrelated).toBeGreaterThan(0.1);
  }
});

test("vectors and tokens are numpy's on the same file, also of texts that its tokenizer.json would cut", async () => {
  const texts = [
    ...PAIRS.flat(),
    "Ünïcödé Größe — naïve café, ﬁne; 東京タワー 2026! 🦬",
    "x",
    "   ",
    "The file says that texts are cut to 128 tokens, and this one has more. ".repeat(12),
    "word ".repeat(510),
  ];
  const expected = await reference<{ vectors: number[][]; tokens: number[] }>("../weights/minilm.py", {
    folder: publishedFiles(),
    texts,
  });
  expect(Math.max(...expected.tokens)).toBe(512);
  const { vectors, tokens } = await embed(texts);
  expect(tokens).toBe(expected.tokens.reduce((sum, each) => sum + each, 0));
  for (const [at, vector] of vectors.entries()) {
    expect(1 - cosine(vector, expected.vectors[at]!)).toBeLessThan(1e-6);
    expect(1 - cosine((await embed([texts[at]!])).vectors[0]!, expected.vectors[at]!)).toBeLessThan(1e-6);
  }
  const long = await embed(["word ".repeat(511)]).catch((error) => error);
  expect([long.status, long.code]).toEqual([400, "context_length_exceeded"]);
});

test("how fast it is", async () => {
  const batch = Array.from({ length: 256 }, (_, at) => `${PAIRS[at % PAIRS.length]![at % 2]} (${at})`);
  await embed(batch);
  const startedMs = performance.now();
  await embed(batch);
  const perSecond = (256 * 1000) / (performance.now() - startedMs);
  console.log(`all-MiniLM-L6-v2, one thread, through the gateway: ${perSecond.toFixed(0)} sentences a second`);
  expect(perSecond).toBeGreaterThan(1);
});

testTraffic(server);
