// The official Node client: answers whole and streamed, and every parameter that shapes them.

import { expect, test } from "bun:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { KEY } from "../harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "../suite.ts";

const server = useServer();
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const base = { model: MODEL, messages: HELLO };

test("a whole answer", async () => {
  const { data: answer, request_id } = await client().chat.completions.create(base).withResponse();
  expect(answer.object).toBe("chat.completion");
  expect(answer.model).toBe(MODEL);
  expect(answer.choices[0]!.message.content).toBeTruthy();
  expect(answer.choices[0]!.finish_reason).toBe("stop");
  expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
  expect(request_id).toMatch(/^req_[0-9a-f]{32}$/);
  expect(Math.abs(answer.created - Date.now() / 1000)).toBeLessThan(60);
});

test("simulated answers say that they are simulated", async () => {
  const { data: answer, response } = await client().chat.completions.create(base).withResponse();
  expect(answer.system_fingerprint).toStartWith("fp_simulated");
  expect(response.headers.get("x-oxbow-simulated")).toBe("true");
});

test("a stream says what the whole answer says", async () => {
  const same = { ...base, seed: 7, temperature: 0 };
  const whole = await client().chat.completions.create(same);
  let text = "";
  let finish: string | null = null;
  for await (const chunk of await client().chat.completions.create({ ...same, stream: true })) {
    text += chunk.choices[0]!.delta.content ?? "";
    finish ??= chunk.choices[0]!.finish_reason;
  }
  expect(text).toBe(whole.choices[0]!.message.content!);
  expect(finish).toBe("stop");
});

test("the stream helper accumulates the whole answer", async () => {
  const stream = client().chat.completions.stream({ ...base, stream_options: { include_usage: true } });
  let text = "";
  stream.on("content", (delta) => {
    text += delta;
  });
  const final = await stream.finalChatCompletion();
  expect(final.choices[0]!.message.content).toBe(text);
  expect(final.choices[0]!.message.role).toBe("assistant");
  expect(final.usage!.completion_tokens).toBeGreaterThan(0);
});

test("usage comes once at the end, or not at all", async () => {
  const chunks = await Array.fromAsync(
    await client().chat.completions.create({ ...base, stream: true, stream_options: { include_usage: true } }),
  );
  expect(chunks.at(-1)!.choices).toEqual([]);
  const whole = await client().chat.completions.create(base);
  expect(chunks.at(-1)!.usage!.prompt_tokens).toBe(whole.usage!.prompt_tokens);
  const bare = await Array.fromAsync(await client().chat.completions.create({ ...base, stream: true }));
  expect(bare.some((chunk) => "usage" in chunk)).toBe(false);
});

test("a schema from zod is parsed into a value", async () => {
  const City = z.object({
    name: z.string(),
    population: z.number().int(),
    climate: z.enum(["mild", "hot", "cold"]),
    districts: z.array(z.object({ name: z.string(), open: z.boolean() })),
    mayor: z.string().nullable(),
  });
  const answer = await client().chat.completions.parse({ ...base, response_format: zodResponseFormat(City, "city") });
  expect(() => City.parse(answer.choices[0]!.message.parsed)).not.toThrow();
  const stream = client().chat.completions.stream({ ...base, response_format: zodResponseFormat(City, "city") });
  expect(() =>
    City.parse(JSON.parse(stream.currentChatCompletionSnapshot?.choices[0]?.message.content ?? "{}")),
  ).toThrow();
  const final = await stream.finalChatCompletion();
  expect(() => City.parse(final.choices[0]!.message.parsed)).not.toThrow();
});

test("json_object answers with an object", async () => {
  const answer = await client().chat.completions.create({
    model: MODEL,
    messages: [{ role: "user", content: "Answer in JSON." }],
    response_format: { type: "json_object" },
  });
  expect(JSON.parse(answer.choices[0]!.message.content!)).toBeObject();
});

test("several choices, whole and streamed, each with its index", async () => {
  const answer = await client().chat.completions.create({ ...base, n: 3, temperature: 1, seed: 3 });
  expect(answer.choices.map((choice) => choice.index)).toEqual([0, 1, 2]);
  const final = await client()
    .chat.completions.stream({ ...base, n: 3, temperature: 1, seed: 3 })
    .finalChatCompletion();
  expect(final.choices.map((choice) => choice.message.content)).toEqual(
    answer.choices.map((choice) => choice.message.content),
  );
});

test("log-probabilities are the same whole and streamed, and spell the answer", async () => {
  const call = { ...base, logprobs: true, top_logprobs: 3, seed: 5, max_completion_tokens: 12 };
  const whole = (await client().chat.completions.create(call)).choices[0]!;
  const tokens = whole.logprobs!.content!;
  expect(tokens.map((token) => token.token).join("")).toBe(whole.message.content!);
  for (const token of tokens) {
    expect(token.top_logprobs).toHaveLength(3);
    expect(token.logprob).toBeLessThanOrEqual(0);
    expect(Buffer.from(token.bytes!).toString()).toBe(token.token);
  }
  const chunks = await Array.fromAsync(await client().chat.completions.create({ ...call, stream: true }));
  expect(chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? [])).toEqual(tokens);
});

test("a limit on tokens ends with `length`, under either name", async () => {
  for (const limit of [{ max_tokens: 3 }, { max_completion_tokens: 3 }]) {
    const answer = await client().chat.completions.create({ ...base, ...limit });
    expect(answer.choices[0]!.finish_reason).toBe("length");
    expect(answer.usage!.completion_tokens).toBe(3);
  }
});

test("a stop string is taken out of the answer, whole and streamed", async () => {
  const call = { ...base, seed: 11, temperature: 0 };
  const full = (await client().chat.completions.create(call)).choices[0]!.message.content!;
  // From the middle of one word to the middle of the next: it straddles tokens, and so chunks.
  const at = full.indexOf(" ", Math.floor(full.length / 3));
  const stop = full.slice(at - 2, at + 3);
  const expected = full.slice(0, full.indexOf(stop));
  const cut = await client().chat.completions.create({ ...call, stop });
  expect(cut.choices[0]!.message.content!).toBe(expected);
  expect(cut.choices[0]!.finish_reason).toBe("stop");
  const chunks = await Array.fromAsync(
    await client().chat.completions.create({ ...call, stop: ["\u0000never", stop], stream: true }),
  );
  expect(chunks.map((chunk) => chunk.choices[0]!.delta.content ?? "").join("")).toBe(expected);
});

test("a seed repeats an answer, and another seed gives another", async () => {
  const say = async (seed: number) =>
    (await client().chat.completions.create({ ...base, seed, temperature: 1 })).choices[0]!.message.content;
  expect(await say(1)).toBe(await say(1));
  const others = await Promise.all([2, 3, 4, 5].map(say));
  expect(others.some((text) => text !== others[0])).toBe(true);
});

test("every role and form of content is taken", async () => {
  const answer = await client().chat.completions.create({
    model: MODEL,
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "system", content: [{ type: "text", text: "Be kind." }] },
      { role: "user", content: "Hello", name: "ada" },
      { role: "assistant", content: null },
      { role: "assistant", content: "" },
      { role: "assistant", content: [{ type: "text", text: "Hi" }] },
      { role: "assistant" },
      { role: "user", content: [{ type: "text", text: "How are you? 👋🏽 Grüße, 世界" }] },
    ],
    store: false,
    metadata: { a: "b" },
    user: "u1",
    service_tier: "auto",
  });
  expect(answer.choices[0]!.message.content).toBeTruthy();
  expect(answer.service_tier).toBe("default");
});

test("fields that nobody knows are ignored", async () => {
  const call = { ...base, some_router_hint: { a: 1 }, top_k: 40 };
  expect((await client().chat.completions.create(call)).choices[0]!.message.content).toBeTruthy();
});

test("text that is not ASCII survives, whole and streamed", async () => {
  const messages = [{ role: "user" as const, content: "Repeat: 🦊 naïve Ελλάδα 日本語 \u{1F468}\u200D\u{1F469}" }];
  const call = { model: MODEL, messages, seed: 1, temperature: 0 };
  const whole = (await client().chat.completions.create(call)).choices[0]!.message.content!;
  const chunks = await Array.fromAsync(await client().chat.completions.create({ ...call, stream: true }));
  expect(chunks.map((chunk) => chunk.choices[0]!.delta.content ?? "").join("")).toBe(whole);
});

test("models are listed and retrieved, by id and by alias", async () => {
  const models = await Array.fromAsync(client().models.list());
  expect(models.length).toBeGreaterThanOrEqual(44);
  for (const model of models) expect(model.owned_by).toBeTruthy();
  const one = await client().models.retrieve(MODEL);
  expect(models.find((model) => model.id === MODEL)).toEqual(one);
  expect(one).toMatchObject({ category: "chat", state: "warm", simulated: true });
  expect((await client().models.retrieve("qwen3-32b")).id).toBe("qwen-3-32b");
});

test("a call by an alias is answered under the model's id", async () => {
  const answer = await client().chat.completions.create({ ...base, model: "qwen3-32b" });
  expect(answer.model).toBe("qwen-3-32b");
});

test("completions, whole and streamed", async () => {
  const call = { model: MODEL, prompt: ["One", "Two"], n: 2, max_tokens: 6, seed: 9 };
  const whole = await client().completions.create(call);
  expect(whole.object).toBe("text_completion");
  expect(whole.choices.map((choice) => choice.index)).toEqual([0, 1, 2, 3]);
  const texts = ["", "", "", ""];
  for await (const chunk of await client().completions.create({ ...call, stream: true })) {
    for (const choice of chunk.choices) texts[choice.index] += choice.text;
  }
  expect(texts).toEqual(whole.choices.map((choice) => choice.text));
});

test("completions: echo, log-probabilities and the default of 16 tokens", async () => {
  const answer = await client().completions.create({ model: MODEL, prompt: "Once upon", echo: true, logprobs: 2 });
  expect(answer.choices[0]!.text).toStartWith("Once upon");
  expect(answer.usage!.completion_tokens).toBeLessThanOrEqual(16);
  expect(answer.choices[0]!.logprobs!.tokens!.join("")).toBe(answer.choices[0]!.text);
});

testTraffic(server);
