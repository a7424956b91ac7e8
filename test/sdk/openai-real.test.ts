// The official Node client and the built-in model on the real engine: what a simulator cannot prove. The model is a few
// megabytes and knows next to nothing, so it is the form of its answers that is judged.

import { expect, test } from "bun:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { KEY } from "../harness.ts";
import { HELLO, testTraffic, useServer, WEATHER } from "../suite.ts";

const server = useServer({});
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const base = { model: "tiny", messages: HELLO, max_completion_tokens: 32 };

test("a stream says what the whole answer says, and counts the same", async () => {
  const call = { ...base, temperature: 0 };
  const whole = await client().chat.completions.create(call);
  const stream = client().chat.completions.stream({ ...call, stream_options: { include_usage: true } });
  const final = await stream.finalChatCompletion();
  expect(whole.choices[0]!.message.content).toBeTruthy();
  expect(final.choices[0]!.message.content).toBe(whole.choices[0]!.message.content);
  expect(final.usage!.completion_tokens).toBe(whole.usage!.completion_tokens);
  expect(final.usage!.prompt_tokens).toBe(whole.usage!.prompt_tokens);
});

test("a seed repeats an answer, alone and among others", async () => {
  const say = async (seed: number) =>
    (await client().chat.completions.create({ ...base, seed, temperature: 1.5 })).choices[0]!.message.content;
  const alone = await say(1);
  const among = await Promise.all([say(1), ...Array.from({ length: 15 }, (_, at) => say(at + 2))]);
  expect(among[0]).toBe(alone);
  expect(new Set(among).size).toBeGreaterThan(1);
});

test("a limit ends with `length`, a stop string with `stop` and without itself", async () => {
  const call = { ...base, temperature: 0 };
  const cut = await client().chat.completions.create({ ...call, max_completion_tokens: 3 });
  expect(cut.choices[0]!.finish_reason).toBe("length");
  expect(cut.usage!.completion_tokens).toBe(3);
  const full = (await client().chat.completions.create(call)).choices[0]!.message.content!;
  const stop = full.slice(6, 10);
  const stopped = await client().chat.completions.create({ ...call, stop: [stop] });
  expect(stopped.choices[0]!.message.content).toBe(full.slice(0, full.indexOf(stop)));
  expect(stopped.choices[0]!.finish_reason).toBe("stop");
});

test("log-probabilities are ordered, whole and streamed alike", async () => {
  const call = { ...base, logprobs: true, top_logprobs: 4, temperature: 0 };
  const tokens = (await client().chat.completions.create(call)).choices[0]!.logprobs!.content!;
  for (const { top_logprobs, logprob } of tokens) {
    expect(top_logprobs).toHaveLength(4);
    expect(top_logprobs.map((top) => top.logprob)).toEqual(
      top_logprobs.map((top) => top.logprob).sort((a, b) => b - a),
    );
    // At temperature 0 the likeliest is taken.
    expect(logprob).toBeCloseTo(top_logprobs[0]!.logprob, 4);
  }
  const chunks = await Array.fromAsync(await client().chat.completions.create({ ...call, stream: true }));
  const streamed = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []);
  expect(streamed.map((token) => token.token)).toEqual(tokens.map((token) => token.token));
});

const City = z.object({
  name: z.string().max(12),
  population: z.number().int().min(0).max(9_999),
  climate: z.enum(["mild", "hot"]),
  districts: z.array(z.string().max(8)).min(1).max(3),
  capital: z.boolean(),
});

test.each([0, 1, 2])("a schema is kept by a model that would not keep it (temperature %p)", async (temperature) => {
  const call = {
    ...base,
    temperature,
    seed: 4,
    max_completion_tokens: 400,
    response_format: zodResponseFormat(City, "city"),
  };
  const answer = await client().chat.completions.parse(call);
  expect(answer.choices[0]!.finish_reason).toBe("stop");
  expect(() => City.parse(answer.choices[0]!.message.parsed)).not.toThrow();
});

test("json_object answers with an object", async () => {
  const answer = await client().chat.completions.create({
    ...base,
    messages: [{ role: "user", content: "Answer in JSON." }],
    response_format: { type: "json_object" },
    max_completion_tokens: 1_000,
    temperature: 0,
  });
  expect(JSON.parse(answer.choices[0]!.message.content!)).toBeObject();
});

test("required and named tools are called with arguments that keep the schema", async () => {
  const named = { type: "function" as const, function: { name: "get_weather" } };
  for (const tool_choice of ["required" as const, named]) {
    const answer = await client().chat.completions.create({
      ...base,
      tools: [WEATHER],
      tool_choice,
      max_completion_tokens: 500,
      seed: 2,
    });
    const { message, finish_reason } = answer.choices[0]!;
    expect(finish_reason).toBe(tool_choice === "required" ? "tool_calls" : "stop");
    for (const call of message.tool_calls!) {
      if (call.type !== "function") throw new Error("not a function");
      const given = JSON.parse(call.function.arguments);
      expect(call.function.name).toBe("get_weather");
      expect(given.location).toBeString();
      expect(["celsius", "fahrenheit", undefined]).toContain(given.unit);
    }
  }
});

test("a conversation that grows is not read again from its beginning", async () => {
  const long = [{ role: "system" as const, content: "You are patient. ".repeat(60) }, ...HELLO];
  const first = await client().chat.completions.create({ ...base, messages: long, temperature: 0 });
  const next = [...long, first.choices[0]!.message, { role: "user" as const, content: "And now?" }];
  const second = await client().chat.completions.create({ ...base, messages: next, temperature: 0 });
  const cached = second.usage!.prompt_tokens_details!.cached_tokens!;
  expect(cached).toBeGreaterThan(first.usage!.prompt_tokens / 2);
  expect(cached).toBeLessThan(second.usage!.prompt_tokens);
});

test("more callers than slots are all served", async () => {
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, seed) => client().chat.completions.create({ ...base, seed, temperature: 1 })),
  );
  expect(answers.every((answer) => answer.usage!.completion_tokens > 0)).toBe(true);
});

test("callers who hang up give their slots back", async () => {
  const schema = { type: "object", properties: { a: { type: "string", minLength: 8_000 } }, required: ["a"] };
  const endless = { type: "json_schema" as const, json_schema: { name: "long", schema } };
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const call = { model: "tiny", messages: HELLO, stream: true as const, response_format: endless };
        for await (const _ of await client().chat.completions.create(call)) break;
      }),
    );
  }
  const startedMs = performance.now();
  await client().chat.completions.create({ ...base, max_completion_tokens: 1 });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

test("several choices and completions", async () => {
  const answer = await client().chat.completions.create({ ...base, n: 3, temperature: 1.5, seed: 1 });
  expect(answer.choices.map((choice) => choice.index)).toEqual([0, 1, 2]);
  const completion = await client().completions.create({ model: "tiny", prompt: "Once", echo: true, max_tokens: 8 });
  expect(completion.choices[0]!.text).toStartWith("Once");
  expect(completion.usage!.completion_tokens).toBeLessThanOrEqual(8);
});

testTraffic(server);
