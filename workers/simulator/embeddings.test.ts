import { expect, test } from "bun:test";
import { decodeVector, type EmbeddingAnswer, type ErrorBody } from "@oxbow/contract";
import { createSimulator } from "./server.ts";

const model = (id: string, category: string, more: object = {}) => {
  return { id, aliases: [], category, capabilities: [], contextTokens: 32, ...more };
};
const models = [
  model("v", "embeddings", { dimensions: 384, embedding: { normalise: true, matryoshka: [8] } }),
  model("unsaid", "embeddings"),
  model("m", "chat"),
];
const handle = createSimulator({ socket: "", models, slots: 8, threads: 1, options: {} });

async function post(body: object, headers: Record<string, string> = {}) {
  const url = "http://worker/v1/embeddings";
  const answer = await handle(new Request(url, { method: "POST", body: JSON.stringify(body), headers }));
  return { status: answer.status, ...((await answer.json()) as EmbeddingAnswer & ErrorBody) };
}
const vectors = async (body: object) => (await post(body)).data.map(({ embedding }) => decodeVector(embedding)!);

test("a text has one vector, of the model's length and of the length 1", async () => {
  const [one, two] = await vectors({ model: "v", input: ["Hello there", "Hello there"] });
  expect(one).toEqual(two!);
  expect(one).toHaveLength(384);
  expect(one!.reduce((sum, each) => sum + each * each, 0)).toBeCloseTo(1, 5);
  expect((await vectors({ model: "unsaid", input: "a" }))[0]).toHaveLength(1024);
  expect((await vectors({ model: "v", input: "a", dimensions: 8 }))[0]).toHaveLength(8);
  const refused = await post({ model: "v", input: "a", dimensions: 9 });
  expect([refused.status, refused.error.param]).toEqual([400, "dimensions"]);
});

test("texts of the same words are near, and not the same", async () => {
  const [one, two, far] = await vectors({
    model: "v",
    input: ["cats chase mice", "mice chase cats", "income tax law"],
  });
  const near = (a: Float32Array, b: Float32Array) => a.reduce((sum, each, at) => sum + each * b[at]!, 0);
  expect(near(one!, two!)).toBeGreaterThan(0.6);
  expect(near(one!, two!)).toBeLessThan(0.999_999);
  expect(Math.abs(near(one!, far!))).toBeLessThan(0.3);
});

test("a text may fill the context, and not a token more", async () => {
  const tokens = (count: number) => new Array(count).fill(65);
  expect((await post({ model: "v", input: tokens(32) })).usage.prompt_tokens).toBe(32);
  const { status, error } = await post({ model: "v", input: [tokens(2), tokens(33)] });
  expect([status, error.code, error.param]).toEqual([400, "context_length_exceeded", "input[1]"]);
  expect(error.message).toContain("requested 33 tokens");
});

test("what is asked of the simulator is done", async () => {
  const fault = { kind: "error", error: "rate_limit_exceeded", retryAfterMs: 10 };
  expect((await post({ model: "v", input: "a" }, { "x-simulate": JSON.stringify({ fault }) })).status).toBe(429);
  const started = performance.now();
  await post({ model: "v", input: "a" }, { "x-simulate": JSON.stringify({ ttftMs: 60 }) });
  expect(performance.now() - started).toBeGreaterThan(50);
});

test("a model of another kind is refused by name", async () => {
  const { status, error } = await post({ model: "m", input: "a" });
  expect([status, error.code, error.param]).toEqual([400, "unsupported_value", "model"]);
});
