// Our vectors against those of another implementation, on the same weights: the Python onnxruntime, tokenizers and numpy.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { decodeVector, type EmbeddingAnswer } from "@oxbow/contract";
import { type BertPooling, SMALL_BERT, writeBert } from "../../models/fixtures/bert.ts";
import { startWorker, type TestWorker, temporaryDirectory } from "../../workers/onnx/testing.ts";
import { pythonWithModels } from "../python/venv.ts";
import { reference } from "./reference.ts";

setDefaultTimeout(120_000);
const scratch = temporaryDirectory();
afterAll(() => scratch.remove());
beforeAll(() => void pythonWithModels(), 300_000);

const TEXTS = [
  "hello",
  "What is Oxbow?",
  "a",
  "  \t ",
  "Ünïcödé Größe — naïve café, ﬁne; 東京タワー 2026! 🦬",
  "unbelievableconcatenatedwordsthatnobodywrites",
  "x".repeat(150),
  "Mixed CASE with numbers 1234567890 and (punctuation), all/of-it.",
  "[CLS] special [SEP] words [UNK] in a text",
  "The model reads one word after the other. ".repeat(12).trim(),
  "many short words ".repeat(30),
  ...Array.from({ length: 40 }, (_, at) => "a model answers questions about words ".repeat(1 + (at % 9)) + at),
];

interface Reference {
  vectors: number[][];
  tokens: number[][];
}

describe.each<BertPooling>(["cls", "mean", "last"])("pooling %s", (pooling) => {
  const folder = join(scratch.path, pooling);
  let worker: TestWorker;
  let expected: Reference;

  beforeAll(async () => {
    writeBert(folder, { ...SMALL_BERT, layers: 3, seed: 11 }, pooling);
    worker = await startWorker({ model: { id: "bert", category: "embeddings", contextTokens: 512 }, file: folder });
    expected = await reference<Reference>("embed.py", { folder, pooling, texts: TEXTS });
  });
  afterAll(() => worker?.stop());

  const embed = async (input: string | string[] | number[][]) => {
    const answer = await worker.post("/v1/embeddings", { model: "bert", input, encoding_format: "base64" });
    expect(answer.status).toBe(200);
    return (await answer.json()) as EmbeddingAnswer;
  };
  const distance = (embedding: unknown, at: number) =>
    1 - decodeVector(embedding)!.reduce((sum, each, index) => sum + each * expected.vectors[at]![index]!, 0);

  test("one text at a time, and all in one call, are what the other implementation says", async () => {
    const together = await embed(TEXTS);
    for (const [at, text] of TEXTS.entries()) {
      expect(distance(together.data[at]!.embedding, at)).toBeLessThan(1e-4);
      expect(distance((await embed(text)).data[0]!.embedding, at)).toBeLessThan(1e-4);
    }
  });

  test("texts have the same tokens, and tokens the same vectors", async () => {
    const counts = await Promise.all(TEXTS.map(async (text) => (await embed(text)).usage.prompt_tokens));
    expect(counts).toEqual(expected.tokens.map(({ length }) => length));
    const { data } = await embed(expected.tokens);
    for (const [at, { embedding }] of data.entries()) expect(distance(embedding, at)).toBeLessThan(1e-4);
  });
});

test("the other implementation tells poolings apart: a comparison that could not fail would prove nothing", async () => {
  const folder = join(scratch.path, "cls");
  const [cls, mean] = await Promise.all(
    ["cls", "mean"].map((pooling) => reference<Reference>("embed.py", { folder, pooling, texts: ["hello there"] })),
  );
  const cosine = cls!.vectors[0]!.reduce((sum, each, at) => sum + each * mean!.vectors[0]![at]!, 0);
  expect(cosine).toBeLessThan(0.999);
});
