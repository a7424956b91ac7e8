// Embeddings by a server of somebody else: whatever it makes of the encoding and of the order, callers get what they asked for.

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { decodeVector, type EmbeddingAnswer, type ErrorBody } from "@oxbow/contract";
import { adminPlan, dataWith } from "./data.ts";
import { KEY } from "./harness.ts";
import { testTraffic, useServer } from "./suite.ts";

const inputsOf = ({ input }: Record<string, unknown>) => (Array.isArray(input) ? input : [input]);
const floats = (body: Record<string, unknown>) => {
  const all = inputsOf(body).map((_, index) => ({ object: "embedding", index, embedding: [0.6, 0.8, index] }));
  const usage = { prompt_tokens: 7, total_tokens: 7 };
  return Response.json({
    id: "embd-1",
    object: "list",
    created: 1,
    model: "served-bge",
    data: all.toReversed(),
    usage,
  });
};

/** What the server got, and how it is to answer. */
let got: Record<string, unknown>[] = [];
let counted: string[] = [];
let answers: (body: Record<string, unknown>) => Response = floats;

/** Speaks as some servers do: always floats, backwards, under a name of its own. */
const remote = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return new Response();
    if (pathname === "/metrics") return new Response("");
    if (pathname === "/v1/models")
      return Response.json({ object: "list", data: [{ id: "served-bge", object: "model" }] });
    if (request.method !== "POST") return new Response("not found", { status: 404 });
    const body = (await request.json()) as Record<string, unknown>;
    if (pathname === "/tokenize") {
      counted.push(String(body.prompt));
      return Response.json({ count: String(body.prompt).split(" ").length, max_model_len: 512 });
    }
    if (pathname !== "/v1/embeddings") return new Response("not found", { status: 404 });
    got.push(body);
    return answers(body);
  },
});

const data = dataWith(
  (table) => {
    table.engines = {
      far: {
        kind: "vllm",
        url: `http://127.0.0.1:${remote.port}/v1`,
        models: [{ id: "bge-large", name: "served-bge" }],
        slots: 8,
      },
    };
  },
  adminPlan({ inputTokensMax: 40 }),
  (table) => {
    Object.assign(table["bge-large"]!.embedding as object, { matryoshka: [2] });
  },
);
const server = useServer({ env: { OXBOW_DATA: data.folder } });
afterAll(async () => {
  data.remove();
  await remote.stop(true);
});

beforeEach(() => {
  got = [];
  counted = [];
  answers = floats;
});

async function embed(body: object) {
  const answer = await fetch(`${server().baseUrl}/embeddings`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "bge-large", ...body }),
  });
  return { status: answer.status, ...((await answer.json()) as EmbeddingAnswer & ErrorBody) };
}

describe("a server that always sends floats, backwards", () => {
  test("gives base64 to who asks for it, in order", async () => {
    const answer = await embed({ input: ["a", "b", "c"], encoding_format: "base64" });
    expect(answer).toMatchObject({ model: "bge-large", usage: { prompt_tokens: 7, total_tokens: 7 } });
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(answer.data.map(({ embedding }) => typeof embedding)).toEqual(["string", "string", "string"]);
    expect(decodeVector(answer.data[2]!.embedding)).toEqual(Float32Array.of(0.6, 0.8, 2));
    expect(got[0]).toMatchObject({ model: "served-bge", input: ["a", "b", "c"] });
  });

  test("and one that ignores dimensions is cut", async () => {
    const { data } = await embed({ input: "a", dimensions: 2 });
    expect(data[0]!.embedding).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    expect(got[0]!.dimensions).toBe(2);
  });
});

test("a server that sends base64 gives floats to who asks for nothing", async () => {
  const embedding = Buffer.from(Float32Array.of(1, 0).buffer).toString("base64");
  answers = () =>
    Response.json({
      object: "list",
      model: "served-bge",
      data: [{ object: "embedding", index: 0, embedding }],
      usage: { prompt_tokens: 1, total_tokens: 1 },
    });
  expect((await embed({ input: "a" })).data[0]!.embedding).toEqual([1, 0]);
});

test("it gets the words that a purpose means, and never the purpose, nor its own length", async () => {
  await embed({ input: "fox", input_type: "query", dimensions: 1024 });
  const [sent] = got;
  expect(sent!.input).toBe("Represent this sentence for searching relevant passages: fox");
  expect("input_type" in sent! || "dimensions" in sent!).toBe(false);
});

test("what holds no vectors is a failure of the engine, and counts nothing", async () => {
  answers = () => Response.json({ object: "list", data: [{ object: "embedding", index: 0, embedding: null }] });
  const { status, error } = await embed({ input: "a" });
  expect([status, error.code]).toEqual([502, "engine_failed"]);
});

test("texts near the plan's cap are counted by the server, all together", async () => {
  expect((await embed({ input: ["one two three", "four five six seven"] })).status).toBe(200);
  expect(counted).toEqual(["one two three", "four five six seven"]);
  const { status, error } = await embed({ input: ["word ".repeat(30).trim(), "word ".repeat(20).trim()] });
  expect([status, error.code, error.param]).toEqual([400, "context_length_exceeded", "input"]);
  expect(error.message).toContain("50");
  expect(got).toHaveLength(1);
});

testTraffic(server);
