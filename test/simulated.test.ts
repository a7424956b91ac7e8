// What `oxbow up --simulate` owes to whoever tries an application on it: that every answer says it is made up, also when
// it is an error, that faults come out as faults, and that a model offers what a model of its kind can.

import { expect, test } from "bun:test";
import OpenAI, { APIError } from "openai";
import { KEY } from "./harness.ts";
import { HELLO, testTraffic, useServer } from "./suite.ts";

const server = useServer();
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });

test("an error of an engine that makes it up says so, whoever words it", async () => {
  for (const model of ["fault-429", "fault-500", "fault-502", "fault-503", "fault-context", "fault-empty"]) {
    const call = client().chat.completions.create({ model, messages: HELLO });
    const error = (await call.catch((thrown) => thrown)) as APIError;
    expect([model, error instanceof APIError, error.headers?.get("x-oxbow-simulated")]).toEqual([model, true, "true"]);
  }
});

test("garbage in a stream is not passed on: what was good comes first, and then an error", async () => {
  const stream = await client().chat.completions.create({ model: "fault-garbage", messages: HELLO, stream: true });
  let chunks = 0;
  const error = await (async () => {
    for await (const _ of stream) chunks++;
  })().catch((thrown) => thrown);
  expect(chunks).toBeGreaterThan(3);
  expect(error).toBeInstanceOf(APIError);
  expect(error.code).toBe("engine_interrupted");
  const whole = client().chat.completions.create({ model: "fault-garbage", messages: HELLO });
  expect(((await whole.catch((thrown) => thrown)) as APIError).code).toBe("engine_failed");
});

test("a model that reads no text offers nothing about text", async () => {
  const { data } = await client().models.list();
  const models = data as unknown as { id: string; category: string; capabilities: string[] }[];
  const of = (category: string) => models.filter((model) => model.category === category);
  const about = ["logprobs", "structured_outputs", "logit_bias", "penalties"];
  for (const model of of("chat")) {
    expect([model.id, model.capabilities]).toEqual([model.id, expect.arrayContaining(about)]);
    expect([model.id, model.capabilities.includes("image_streaming")]).toEqual([model.id, false]);
  }
  for (const category of ["embeddings", "audio", "images", "detection"]) {
    expect(of(category).length).toBeGreaterThan(0);
    for (const model of of(category)) {
      expect([model.id, model.capabilities.filter((name) => about.includes(name))]).toEqual([model.id, []]);
    }
  }
});

testTraffic(server);
