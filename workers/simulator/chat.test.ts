import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createSimulator } from "./server.ts";
import {
  type Body,
  config,
  refusal,
  refusalText,
  send,
  streamed,
  textOf,
  user,
  type Whole,
  weather,
  whole,
} from "./testing.ts";
import { encode } from "./tokenizer.ts";

describe("a plain answer", () => {
  test("says that it is simulated, quotes the user, and carries the marks of the simulator", async () => {
    const response = await send({ model: "m-alias", messages: user("How do I design a manager?") });
    expect(response.headers.get("x-oxbow-simulated")).toBe("true");
    const answer = (await response.json()) as Whole;
    expect(answer).toMatchObject({ object: "chat.completion", model: "m", system_fingerprint: "fp_simulated" });
    expect(textOf(answer)).toMatch(/simulat|no model|nobody/i);
    expect(textOf(answer)).toContain("How do I design a manager?");
    expect(answer.choices[0]!.finish_reason).toBe("stop");
    expect(encode(textOf(answer)).length).toBe(answer.usage.completion_tokens);
    expect(answer.usage.total_tokens).toBe(answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test("is the same for the same request, another for another seed, and one for all seeds at temperature 0", async () => {
    const text = async (body: Body) => textOf(await whole(body));
    expect(await text({})).toBe(await text({}));
    expect(await text({ seed: 7 })).toBe(await text({ seed: 7 }));
    expect(await text({ seed: 7 })).not.toBe(await text({ seed: 8 }));
    expect(await text({ seed: 7, temperature: 0 })).toBe(await text({ seed: 8, temperature: 0 }));
    expect(await text({ messages: user("Hello here") })).not.toBe(await text({}));
  });

  test("max_tokens and max_completion_tokens cut it with `length`", async () => {
    for (const key of ["max_tokens", "max_completion_tokens"]) {
      const answer = await whole({ [key]: 3 });
      expect([answer.choices[0]!.finish_reason, answer.usage.completion_tokens]).toEqual(["length", 3]);
      expect(encode(textOf(answer))).toHaveLength(3);
    }
  });

  test("verbosity and the length asked of the simulator are obeyed", async () => {
    const tokens = async (body: Body) => (await whole(body)).usage.completion_tokens;
    expect(await tokens({ verbosity: "low" })).toBeLessThan(await tokens({ verbosity: "high" }));
    expect(await tokens({ x_simulate: { tokens: 500 } })).toBe(500);
    expect(await tokens({ x_simulate: { tokens: 0 } })).toBe(0);
  });

  test("n answers differ, except at temperature 0", async () => {
    const texts = (answer: Whole) => new Set(answer.choices.map((choice) => choice.message.content));
    expect(texts(await whole({ n: 5 })).size).toBe(5);
    expect(texts(await whole({ n: 5, temperature: 0 })).size).toBe(1);
  });

  test("a stop string ends it and is not in it, also as one of a list", async () => {
    const full = textOf(await whole({}));
    const stop = full.slice(9, 16);
    const answer = await whole({ stop: ["never in there", stop] });
    expect(textOf(answer)).toBe(full.slice(0, full.indexOf(stop)));
    expect(answer.choices[0]!.finish_reason).toBe("stop");
  });
});

test("whatever is asked for, streamed and whole say the same, and every stream is one that all SDKs can read", async () => {
  const part = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
  const asked = fc.record({
    model: fc.constantFrom("m", "thinker"),
    messages: fc.constantFrom(
      user("Hello there"),
      user("Weather in Paris and Tokyo in celsius?"),
      user("Grüße 👩‍👩‍👧 naïve 漢字 \ud800"),
    ),
    n: part(fc.integer({ min: 1, max: 4 })),
    seed: part(fc.nat(100)),
    temperature: part(fc.constantFrom(0, 1)),
    max_tokens: part(fc.integer({ min: 1, max: 60 })),
    stop: part(fc.constantFrom("a", [" s", "ted"], ".", "zzz", "celsius")),
    logprobs: part(fc.boolean()),
    presence_penalty: part(fc.constantFrom(0, 2)),
    tools: part(fc.constant([weather])),
    response_format: part(fc.constant({ type: "json_object" })),
    stream_options: part(fc.constant({ include_usage: true, include_obfuscation: true })),
  });
  await fc.assert(
    fc.asyncProperty(asked, async (body) => {
      const stream = await streamed(body);
      const answer = await whole({ ...body, stream_options: undefined });
      for (const [index, { message, finish_reason, logprobs }] of answer.choices.entries()) {
        const choice = stream.choices[index]!;
        const calls = choice.calls.map(({ name, arguments: text }) => ({ name, arguments: text }));
        expect(choice.finish).toBe(finish_reason);
        expect(calls).toEqual(message.tool_calls?.map((call) => call.function) ?? []);
        if (calls.length === 0) expect(choice.content).toBe(message.content);
        expect(choice.reasoning).toBe(message.reasoning_content ?? "");
        expect(choice.logprobs).toEqual(logprobs?.content ?? []);
      }
      if (body.stream_options) {
        const { prompt_tokens, completion_tokens } = answer.usage;
        expect(stream.usage).toMatchObject({ prompt_tokens, completion_tokens });
      }
    }),
    { numRuns: 200 },
  );
});

describe("tokens", () => {
  test("log-probabilities: one entry per token, the chosen one first, of one distribution, with its bytes", async () => {
    const answer = await whole({ logprobs: true, top_logprobs: 5 });
    const entries = answer.choices[0]!.logprobs!.content;
    expect(entries.map((entry) => entry.token).join("")).toBe(textOf(answer));
    expect(entries.length).toBe(answer.usage.completion_tokens);
    for (const { token, logprob, bytes, top_logprobs } of entries) {
      expect(Buffer.from(bytes).toString()).toBe(token);
      expect(top_logprobs).toHaveLength(5);
      expect(top_logprobs[0]).toEqual({ token, logprob, bytes });
      expect(new Set(top_logprobs.map((top) => top.token)).size).toBe(5);
      const sum = top_logprobs.reduce((total, top) => total + Math.exp(top.logprob), 0);
      expect(sum).toBeLessThanOrEqual(1);
      expect(logprob).toBeLessThan(0);
    }
    expect((await whole({ logprobs: true })).choices[0]!.logprobs!.content[0]!.top_logprobs).toEqual([]);
    expect((await whole({})).choices[0]!.logprobs).toBeUndefined();
  });

  test("logit_bias bans a token at -100, and lets nothing else come at 100", async () => {
    const first = encode(textOf(await whole({})))[0]!;
    const banned = await whole({ logit_bias: { [first]: -100 }, logprobs: true, top_logprobs: 20 });
    const entries = banned.choices[0]!.logprobs!.content;
    for (const entry of entries) expect(encode(entry.token)).not.toEqual([first]);

    const [forced] = encode(" ox") as [number];
    const answer = await whole({ logit_bias: { [forced]: 100 }, max_tokens: 5 });
    expect(textOf(answer)).toBe(" ox ox ox ox ox");
    expect(await refusal({ logit_bias: { word: 1 } })).toEqual([400, "invalid_value", "logit_bias"]);
  });

  test("penalties make words come back less often", async () => {
    const repeats = async (body: Body) => {
      const entries = (await whole({ x_simulate: { tokens: 300 }, logprobs: true, ...body })).choices[0]!.logprobs!
        .content;
      return entries.length - new Set(entries.map((entry) => entry.token)).size;
    };
    const plain = await repeats({});
    expect(await repeats({ frequency_penalty: 2 })).toBeLessThan(plain);
    expect(await repeats({ presence_penalty: 2 })).toBeLessThan(plain);
  });

  test("a prompt seen before comes from the prefix cache, in whole blocks, for one model", async () => {
    const handle = createSimulator(config());
    const body = { messages: user("word ".repeat(40)) };
    const first = await whole(body, handle);
    const second = await whole(body, handle);
    const { prompt_tokens, prompt_tokens_details } = second.usage;
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(prompt_tokens_details.cached_tokens).toBe(Math.floor((prompt_tokens - 1) / 16) * 16);
    expect((await whole({ ...body, model: "thinker" }, handle)).usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect((await whole({ ...body, cache_salt: "x" }, handle)).usage.prompt_tokens_details.cached_tokens).toBe(0);
  });

  test("what does not fit into the context is refused in the words that agents look for", async () => {
    const tooLong = { model: "small", messages: user("many words ".repeat(50)) };
    expect(await refusal(tooLong)).toEqual([400, "context_length_exceeded", "messages"]);
    expect(await refusalText(tooLong)).toMatch(
      /^This model's maximum context length is 64 tokens\. However, your messages resulted in \d+ tokens\./,
    );
    expect(await refusalText({ model: "small", max_tokens: 64 })).toContain("in the completion");
    const answer = await whole({ model: "small", x_simulate: { tokens: 1000 } });
    expect([answer.choices[0]!.finish_reason, answer.usage.total_tokens]).toEqual(["length", 64]);
  });
});

describe("reasoning", () => {
  const thoughts = async (body: Body) =>
    (await whole({ model: "thinker", ...body })).usage.completion_tokens_details.reasoning_tokens;

  test("a reasoning model thinks beside its content, as long as it is told to", async () => {
    const answer = await whole({ model: "thinker" });
    const { reasoning_content, content } = answer.choices[0]!.message;
    expect(reasoning_content).toStartWith("Simulated reasoning.");
    expect(content).not.toContain("Simulated reasoning.");
    expect(encode(reasoning_content!)).toHaveLength(answer.usage.completion_tokens_details.reasoning_tokens);
    const lengths = await Promise.all(
      ["none", "minimal", "low", "medium", "high", "xhigh", "max"].map((reasoning_effort) =>
        thoughts({ reasoning_effort }),
      ),
    );
    expect(lengths[0]).toBe(0);
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
    expect(new Set(lengths).size).toBe(7);
  });

  test("a small limit still leaves room for an answer", async () => {
    const answer = await whole({ model: "thinker", max_tokens: 4 });
    expect([answer.usage.completion_tokens, answer.usage.completion_tokens_details.reasoning_tokens]).toEqual([4, 2]);
  });

  test("a model that does not reason refuses to be told how much", async () => {
    expect(await refusal({ reasoning_effort: "low" })).toEqual([400, "unsupported_parameter", "reasoning_effort"]);
  });
});

test("a caller who asks for the token counts finds them behind [DONE]", async () => {
  const body = { model: "m", messages: user("Hello"), stream: true, stream_options: { include_usage: true } };
  const completion = { model: "m", prompt: "Hello", stream: true, stream_options: { include_usage: true } };
  for (const [asked, path] of [
    [body, "/v1/chat/completions"],
    [completion, "/v1/completions"],
  ] as const) {
    const told = await send(asked, { "x-oxbow-usage": "1" }, path);
    expect(told.headers.get("x-oxbow-usage")).toBe("1");
    const [, usage, counts] = /"usage":(\{.*\})\}\n\ndata: \[DONE\]\n\n: usage (.*)\n$/.exec(await told.text())!;
    expect(JSON.parse(usage!)).toMatchObject(JSON.parse(counts!));
    expect(JSON.parse(counts!).completion_tokens).toBeGreaterThan(0);
    expect(await (await send(asked, {}, path)).text()).toEndWith("data: [DONE]\n\n");
  }
});
