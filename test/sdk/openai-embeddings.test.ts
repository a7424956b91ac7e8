// Embeddings through the official Node client: against the simulator, and against the real worker on a generated BERT.

import { afterAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { writeBert } from "../../models/fixtures/bert.ts";
import { KEY } from "../harness.ts";
import { dataWithOnnx } from "../onnx-data.ts";
import { testTraffic, useServer } from "../suite.ts";

const data = dataWithOnnx({
  bert: {
    write: (folder) => {
      writeBert(folder);
      return folder;
    },
    entry: {
      category: "embeddings",
      contextTokens: 128,
      dimensions: 64,
      aliases: ["acme/bert"],
      embedding: { pooling: "mean", prefixes: { query: "query: ", passage: "passage: " }, matryoshka: [16, 32] },
    },
  },
});
afterAll(data.remove);

const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const vectorOf = async (input: OpenAI.EmbeddingCreateParams["input"], more: object = {}, model = "bert") =>
  (await client().embeddings.create({ model, input, ...more })).data[0]!.embedding;
/** What a call is refused with. */
const refusal = async (call: PromiseLike<unknown>) => {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(OpenAI.APIError);
  return error as InstanceType<typeof OpenAI.APIError>;
};
const dot = (a: number[], b: number[]) => a.reduce((sum, each, at) => sum + each * b[at]!, 0);

describe.each([
  ["bert", 64],
  ["bge-large", 1024],
])("%s", (model, dimensions) => {
  test("what the client asks for by itself, base64, and floats are the same numbers", async () => {
    const whole = await client().embeddings.create({ model, input: "The quick brown fox" });
    expect(whole.model).toBe(model);
    expect(whole.data[0]!.embedding).toHaveLength(dimensions);
    expect(whole.usage.prompt_tokens).toBeGreaterThan(3);
    const floats = await vectorOf("The quick brown fox", { encoding_format: "float" }, model);
    expect(floats).toEqual(whole.data[0]!.embedding);
    expect(dot(floats, floats)).toBeCloseTo(1, 5);
    const base64 = await vectorOf("The quick brown fox", { encoding_format: "base64" }, model);
    expect(Buffer.from(base64 as unknown as string, "base64").length).toBe(4 * dimensions);
  });

  test("a batch of 2048 comes in order", async () => {
    const input = Array.from({ length: 2048 }, (_, at) => `text ${at}`);
    const { data } = await client().embeddings.create({ model, input });
    expect(data.map(({ index }) => index)).toEqual([...input.keys()]);
    for (const at of [0, 1023, 2047]) {
      expect(dot(await vectorOf(input[at]!, {}, model), data[at]!.embedding)).toBeGreaterThan(0.999_999);
    }
  });

  test("tokens and lists of tokens", async () => {
    const { data } = await client().embeddings.create({ model, input: [[50, 51], [52]] });
    expect(data).toHaveLength(2);
    expect(await vectorOf([50, 51], {}, model)).toEqual(data[0]!.embedding);
  });

  test("a text beyond the context is refused with its tokens", async () => {
    const failed = client().embeddings.create({ model, input: ["fine", "word ".repeat(2000)] });
    const expected = { status: 400, code: "context_length_exceeded", param: "input[1]" };
    expect(await refusal(failed)).toMatchObject(expected);
  });

  test("what a text is for changes it, and an unknown purpose is refused", async () => {
    const bare = await vectorOf("fox", {}, model);
    const query = await vectorOf("fox", { input_type: "query" }, model);
    expect(query).not.toEqual(bare);
    expect(await vectorOf("fox", { input_type: "document" }, model)).toEqual(
      await vectorOf("fox", { input_type: "passage" }, model),
    );
    expect(await refusal(vectorOf("fox", { input_type: "poem" }, model))).toMatchObject({ status: 400 });
    expect(await refusal(vectorOf([50], { input_type: "query" }, model))).toMatchObject({ param: "input_type" });
  });

  test("its own length as `dimensions` is obeyed, a length that nobody trained refused", async () => {
    expect(await vectorOf("fox", { dimensions }, model)).toEqual(await vectorOf("fox", {}, model));
    const failed = vectorOf("fox", { dimensions: 17 }, model);
    expect(await refusal(failed)).toMatchObject({ status: 400, param: "dimensions" });
  });
});

test("a query is the text with the model's words before it", async () => {
  expect(await vectorOf("fox", { input_type: "query" })).toEqual(await vectorOf("query: fox"));
});

test("a shorter length that the model was trained for is cut and made 1 again", async () => {
  const whole = await vectorOf("fox");
  const cut = await vectorOf("fox", { dimensions: 16 });
  expect(cut).toHaveLength(16);
  expect(dot(cut, cut)).toBeCloseTo(1, 5);
  expect(dot(cut, whole.slice(0, 16))).toBeCloseTo(Math.sqrt(dot(whole.slice(0, 16), whole.slice(0, 16))), 5);
});

test("an alias is answered under the id, and a model that writes text is refused by name", async () => {
  const { model } = await client().embeddings.create({ model: "acme/bert", input: "a" });
  expect(model).toBe("bert");
  const failed = client().embeddings.create({ model: "llama-3.3-70b", input: "a" });
  const error = await refusal(failed);
  expect(error).toMatchObject({ status: 400, param: "model" });
  expect(error.message).toContain("does not turn texts into vectors here. `bge-large` does.");
});

test("a model of vectors that is asked for text is refused by name, and told which model writes", async () => {
  const { chat, completions, responses } = client();
  for (const call of [
    () => chat.completions.create({ model: "bert", messages: [{ role: "user", content: "Hi" }] }),
    () => completions.create({ model: "bert", prompt: "Hi" }),
    () => responses.create({ model: "bert", input: "Hi" }),
  ]) {
    const error = await refusal(call());
    expect(error).toMatchObject({ status: 400, code: "unsupported_value", param: "model" });
    expect(error.message).toMatch(/`bert` does not write text here\. `[\w.-]+` does\.$/);
  }
});

test("one call is one request whatever its batch, its tokens are counted, and its key gives the same answer again", async () => {
  const input = ["one", "two", "three"];
  const headers = { "idempotency-key": "embed-once" };
  const first = await client().embeddings.create({ model: "bert", input }, { headers }).withResponse();
  expect(first.response.headers.get("x-oxbow-counted")).toBe("1");
  const again = await client().embeddings.create({ model: "bert", input }, { headers }).withResponse();
  expect(again.response.headers.get("idempotent-replayed")).toBe("true");
  expect(again.data).toEqual(first.data);
  const rows = (await (
    await fetch(`${server().baseUrl}/usage?model=bert&limit=1`, { headers: { authorization: `Bearer ${KEY}` } })
  ).json()) as { data: Record<string, unknown>[] };
  expect(rows.data[0]).toMatchObject({
    endpoint: "/v1/embeddings",
    units: 1,
    outcome: "complete",
    prompt_tokens: first.data.usage.prompt_tokens,
  });
});

test("texts that share words are near each other in the simulator, too", async () => {
  const [cat, kitten, tax] = await Promise.all(
    ["a cat sat on the mat", "the cat sat on a mat", "value added tax in Europe"].map((text) =>
      vectorOf(text, {}, "bge-large"),
    ),
  );
  expect(dot(cat!, kitten!)).toBeGreaterThan(0.5);
  expect(dot(cat!, kitten!)).toBeGreaterThan(dot(cat!, tax!) + 0.2);
});

testTraffic(server);
