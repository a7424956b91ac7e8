// The worker on a generated BERT, over its socket: embeddings as callers get them.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { decodeVector, type EmbeddingAnswer, type ErrorBody } from "@oxbow/contract";
import { writeBert } from "../../models/fixtures/bert.ts";
import { startWorker, type TestWorker, temporaryDirectory } from "./testing.ts";

const scratch = temporaryDirectory();
let worker: TestWorker;

beforeAll(async () => {
  writeBert(join(scratch.path, "bert"));
  worker = await startWorker({
    model: { id: "bert", aliases: ["acme/bert"], category: "embeddings", contextTokens: 64 },
    file: join(scratch.path, "bert"),
    options: { batchTokens: 256 },
  });
});

afterAll(async () => {
  await worker?.stop();
  scratch.remove();
});

async function embed(input: unknown, more: object = {}): Promise<EmbeddingAnswer> {
  const answer = await worker.post("/v1/embeddings", { model: "bert", input, ...more });
  expect(answer.status).toBe(200);
  return (await answer.json()) as EmbeddingAnswer;
}

async function refusal(input: unknown, more: object = {}): Promise<[number, ErrorBody["error"]]> {
  const answer = await worker.post("/v1/embeddings", { model: "bert", input, ...more });
  return [answer.status, ((await answer.json()) as ErrorBody).error];
}

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, each, at) => sum + each * b[at]!, 0);
const vectorsOf = (answer: EmbeddingAnswer) => answer.data.map(({ embedding }) => decodeVector(embedding)!);

describe("embeddings", () => {
  test("a text becomes a vector of the length 1, and its tokens are counted as the tokenizer counts them", async () => {
    const answer = await embed("hello");
    expect(answer).toMatchObject({ object: "list", model: "bert" });
    expect(answer.data).toHaveLength(1);
    const [vector] = vectorsOf(answer);
    expect(vector).toHaveLength(64);
    expect(cosine(vector!, vector!)).toBeCloseTo(1, 5);
    const counted = await worker.post("/v1/count", { model: "bert", input: "hello" }, { headers: COUNT });
    expect(await counted.json()).toEqual({ prompt_tokens: answer.usage.prompt_tokens });
    expect(answer.usage.total_tokens).toBe(answer.usage.prompt_tokens);
  });

  test("base64 and float are the same 32-bit numbers", async () => {
    const [floats] = vectorsOf(await embed("what is oxbow?", { encoding_format: "float" }));
    const answer = await embed("what is oxbow?", { encoding_format: "base64" });
    expect(typeof answer.data[0]!.embedding).toBe("string");
    expect(vectorsOf(answer)[0]).toEqual(floats!);
  });

  test("vectors stand in the order of the inputs, and none depends on what else is in the batch", async () => {
    const texts = Array.from({ length: 90 }, (_, at) => "a model reads ".repeat(1 + ((at * 7) % 13)) + at);
    const together = vectorsOf(await embed(texts));
    expect(together).toHaveLength(90);
    for (const at of [0, 1, 12, 44, 89]) {
      const [alone] = vectorsOf(await embed(texts[at]));
      expect(cosine(alone!, together[at]!)).toBeGreaterThan(1 - 1e-6);
    }
  });

  test("calls that come together are computed together", async () => {
    const before = await metric("batches_total");
    await Promise.all(Array.from({ length: 40 }, (_, at) => embed(`text ${at}`)));
    const batches = (await metric("batches_total")) - before;
    expect(batches).toBeLessThan(20);
    expect(await metric("inputs_waiting")).toBe(0);
  });

  test("tokens mean what their text means, with or without the special ones", async () => {
    const text = "what is a model?";
    const vocabulary: Record<string, number> = (await Bun.file(join(scratch.path, "bert/tokenizer.json")).json()).model
      .vocab;
    const tokens = ["what", "is", "a", "model", "?"].map((word) => vocabulary[word]!);
    expect(tokens).not.toContain(undefined);
    const [[one], [two], [three]] = [
      vectorsOf(await embed(text)),
      vectorsOf(await embed(tokens)),
      vectorsOf(await embed([[2, ...tokens, 3]])),
    ];
    expect(two).toEqual(one!);
    expect(three).toEqual(one!);
  });

  test("dimensions cut, and the length is 1 again", async () => {
    const [whole] = vectorsOf(await embed("hello"));
    const [cut] = vectorsOf(await embed("hello", { dimensions: 16 }));
    expect(cut).toHaveLength(16);
    expect(cosine(cut!, cut!)).toBeCloseTo(1, 5);
    expect(cut![0]! / cut![1]!).toBeCloseTo(whole![0]! / whole![1]!, 4);
  });

  test("a text beyond the model's length is refused with its number of tokens, never cut", async () => {
    const [status, error] = await refusal(["short", "model ".repeat(63)]);
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: "context_length_exceeded", param: "input[1]" });
    expect(error.message).toContain("maximum context length is 64 tokens, however you requested 65 tokens");
    expect((await embed("model ".repeat(62))).usage.prompt_tokens).toBe(64);
    const [, huge] = await refusal("model ".repeat(100_000));
    expect(huge.message).toContain("requested at least");
  });

  test("tokens of another tokenizer are refused by the number that gives them away", async () => {
    const [status, error] = await refusal([
      [5, 6],
      [7, 100_257],
    ]);
    expect([status, error.code, error.param]).toEqual([400, "invalid_value", "input[1]"]);
    expect(error.message).toContain("100257");
  });

  test.each<[string, unknown, string, string]>([
    ["an empty text", "", "input", "string_below_min_length"],
    ["an empty list", [], "input", "empty_array"],
    ["an empty text in a list", ["a", ""], "input[1]", "string_below_min_length"],
    ["an empty list of tokens", [[]], "input[0]", "empty_array"],
    ["a negative token", [1, -1], "input[1]", "integer_below_min_value"],
    ["a text among tokens", [1, "a"], "input[1]", "invalid_type"],
    ["an object", {}, "input", "invalid_type"],
    ["a list of 2049", new Array(2049).fill("a"), "input", "array_above_max_length"],
  ])("%s is refused", async (_, input, param, code) => {
    const [status, error] = await refusal(input);
    expect([status, error.param, error.code]).toEqual([400, param, code]);
  });

  test("white space is a text", async () => {
    expect((await embed("  \n")).usage.prompt_tokens).toBe(2);
  });

  test("who hangs up is forgotten, and the others get their answers", async () => {
    const gone = new AbortController();
    const texts = new Array(600).fill("a model reads one word after the other and answers");
    const long = worker.post("/v1/embeddings", { model: "bert", input: texts }, { signal: gone.signal });
    await until(async () => (await metric("inputs_waiting")) > 0);
    gone.abort();
    await expect(long).rejects.toThrow();
    await until(async () => (await metric("inputs_waiting")) === 0);
    expect((await embed("still here")).data).toHaveLength(1);
  });

  test("health is answered while a batch is computed", async () => {
    const running = embed(new Array(400).fill("a model reads one word after the other and answers"));
    const started = performance.now();
    for (let at = 0; at < 5; at++) expect(await (await worker.get("/health")).json()).toMatchObject({ state: "warm" });
    expect(performance.now() - started).toBeLessThan(2_000);
    await running;
  });

  test("another model and another path are refused", async () => {
    const other = await worker.post("/v1/embeddings", { model: "gpt", input: "a" });
    expect(other.status).toBe(404);
    expect((await worker.post("/v1/embeddings", { model: "acme/bert", input: "a" })).status).toBe(200);
    const chat = await worker.post("/v1/chat/completions", { model: "bert", messages: [] });
    expect([chat.status, ((await chat.json()) as ErrorBody).error.param]).toEqual([400, "model"]);
    expect((await worker.post("/other", {})).status).toBe(404);
  });
});

const COUNT = { "x-oxbow-path": "/v1/embeddings" };

async function metric(name: string): Promise<number> {
  const text = await (await worker.get("/metrics")).text();
  return Number(new RegExp(`^oxbow_onnx_${name} (\\d+)$`, "m").exec(text)![1]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) if (Date.now() > deadline) throw new Error("did not happen within 10 s");
}
