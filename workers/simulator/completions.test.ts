import { describe, expect, test } from "bun:test";
import type { Completion } from "@oxbow/contract";
import fc from "fast-check";
import { createSimulator } from "./server.ts";
import { decode, encode } from "./tokenizer.ts";

const handler = createSimulator({
  socket: "",
  models: [{ id: "m", aliases: [], category: "chat", capabilities: [], contextTokens: 100 }],
  slots: 4,
  threads: 1,
  options: {},
});

type Body = Record<string, unknown>;
const send = (body: Body) =>
  handler(
    new Request("http://worker/v1/completions", { method: "POST", body: JSON.stringify({ model: "m", ...body }) }),
  );

async function whole(body: Body): Promise<Completion> {
  const response = await send(body);
  expect(response.status).toBe(200);
  return (await response.json()) as Completion;
}

/** The chunks of a stream, held to what recorded ones look like. */
async function streamed(body: Body): Promise<Completion[]> {
  const raw = await (await send({ stream: true, ...body })).text();
  expect(raw.endsWith("data: [DONE]\n\n")).toBe(true);
  const events = raw.trimEnd().split("\n\n").slice(0, -1);
  const chunks = events.map((event) => {
    expect(event).toMatch(/^data: \{[^\n]*\}$/);
    return JSON.parse(event.slice(6)) as Completion;
  });
  for (const { id, object, created } of chunks) {
    expect([id, object, created]).toEqual([chunks[0]!.id, "text_completion", chunks[0]!.created]);
  }
  return chunks;
}

const textsOf = (answer: Completion) => answer.choices.map((choice) => choice.text);

test("16 tokens by default, cut with `length`, the same every time", async () => {
  const answer = await whole({ prompt: "Once upon a time" });
  expect(answer).toMatchObject({ object: "text_completion", model: "m", system_fingerprint: "fp_simulated" });
  expect(answer.id).toStartWith("cmpl-");
  expect(encode(answer.choices[0]!.text)).toHaveLength(16);
  expect(answer.choices[0]).toMatchObject({ index: 0, finish_reason: "length", logprobs: null });
  expect(answer.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 16, total_tokens: 20 });
  expect(textsOf(await whole({ prompt: "Once upon a time" }))).toEqual(textsOf(answer));
});

test("prompts as texts and as tokens, several answers each, prompt by prompt", async () => {
  const prompts = ["One", "Two words"];
  const answer = await whole({ prompt: prompts, n: 2, max_tokens: 4, echo: true });
  expect(answer.choices.map((choice) => choice.index)).toEqual([0, 1, 2, 3]);
  for (const [at, text] of textsOf(answer).entries()) expect(text).toStartWith(prompts[Math.floor(at / 2)]!);
  expect(answer.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 16 });
  const asTokens = await whole({ prompt: prompts.map((text) => encode(text)), n: 2, max_tokens: 4, echo: true });
  expect(textsOf(asTokens)).toEqual(textsOf(answer));
  expect(textsOf(await whole({ prompt: encode("One"), max_tokens: 4 }))).toEqual(
    textsOf(await whole({ prompt: "One", max_tokens: 4 })),
  );
  const response = await send({ prompt: [99_999_999] });
  expect([response.status, await response.json()]).toMatchObject([400, { error: { param: "prompt" } }]);
});

test("no tokens at all: the echoed prompt, or nothing, with a reason", async () => {
  expect((await whole({ prompt: "Hi", max_tokens: 0, echo: true })).choices[0]).toMatchObject({
    text: "Hi",
    finish_reason: "length",
  });
  const [chunk, ...rest] = await streamed({ prompt: "Hi", max_tokens: 0 });
  expect([chunk!.choices[0], rest]).toMatchObject([{ text: "", finish_reason: "length" }, []]);
});

test("log-probabilities say where each token stands, the first echoed one has none", async () => {
  const answer = await whole({ prompt: "Grüße 👍", echo: true, logprobs: 3, max_tokens: 5 });
  const { text, logprobs } = answer.choices[0]!;
  const { tokens, token_logprobs, top_logprobs, text_offset } = logprobs!;
  expect(tokens.join("")).toBe(text);
  expect(token_logprobs[0]).toBeNull();
  expect(top_logprobs![0]).toBeNull();
  const characters = [...text];
  for (const [at, token] of tokens.entries()) {
    expect(characters.slice(text_offset[at]!, text_offset[at]! + [...token].length).join("")).toBe(token);
    if (at === 0) continue;
    expect(Object.keys(top_logprobs![at]!)).toHaveLength(3);
    expect(top_logprobs![at]![token]).toBe(token_logprobs[at]!);
  }
  expect((await whole({ prompt: "Hi", logprobs: 0 })).choices[0]!.logprobs!.top_logprobs).toEqual(Array(16).fill({}));
});

test("best_of makes more than it gives, and counts them all", async () => {
  const answer = await whole({ prompt: "Hi", best_of: 5, max_tokens: 8 });
  expect(answer.choices).toHaveLength(1);
  expect(answer.choices[0]!.logprobs).toBeNull();
  expect(answer.usage!.completion_tokens).toBe(40);
  expect((await send({ prompt: "Hi", best_of: 2, n: 3 })).status).toBe(400);
});

test("a suffix is read and changes the answer", async () => {
  const plain = await whole({ prompt: "def add(a, b):" });
  const filled = await whole({ prompt: "def add(a, b):", suffix: "return result" });
  expect(filled.usage!.prompt_tokens).toBeGreaterThan(plain.usage!.prompt_tokens);
  expect(textsOf(filled)).not.toEqual(textsOf(plain));
});

test("what does not fit is refused", async () => {
  const response = await send({ prompt: "word ".repeat(90), max_tokens: 20 });
  expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "context_length_exceeded" } }]);
});

test("only its own suffix, echo and logit_bias: an answer is never biased in what it was given", async () => {
  const [id] = encode("Hi") as [number];
  const answer = await whole({ prompt: "Hi Hi", echo: true, max_tokens: 3, logit_bias: { [id]: -100 } });
  expect(answer.choices[0]!.text).toStartWith("Hi Hi");
});

describe("streams", () => {
  test("say what whole answers say; the reason rides on the last text of each choice", async () => {
    const part = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
    const asked = fc.record({
      prompt: fc.constantFrom<unknown>("Once upon", ["a", "Grüße 👍"], encode("Hello there"), [
        encode("a b"),
        encode("c"),
      ]),
      n: part(fc.integer({ min: 1, max: 3 })),
      max_tokens: part(fc.integer({ min: 0, max: 30 })),
      echo: part(fc.boolean()),
      logprobs: part(fc.integer({ min: 0, max: 5 })),
      stop: part(fc.constantFrom("a", [" sim", "."])),
      stream_options: part(fc.constant({ include_usage: true })),
    });
    await fc.assert(
      fc.asyncProperty(asked, async (body) => {
        const chunks = await streamed(body);
        const answer = await whole({ ...body, stream_options: undefined });
        if (body.stream_options) {
          const last = chunks.pop()!;
          expect(last.choices).toEqual([]);
          expect(last.usage).toMatchObject({ total_tokens: answer.usage!.total_tokens });
          for (const chunk of chunks) expect(chunk.usage).toBeNull();
        }
        for (const choice of answer.choices) {
          const own = chunks.flatMap((chunk) => chunk.choices).filter((each) => each.index === choice.index);
          expect(own.map((each) => each.text).join("")).toBe(choice.text);
          expect(own.map((each) => each.finish_reason)).toEqual([
            ...own.slice(1).map(() => null),
            choice.finish_reason,
          ]);
          const joined = own.flatMap(
            (each) =>
              each.logprobs?.tokens.map((_, at) => [
                each.logprobs!.token_logprobs[at],
                each.logprobs!.text_offset[at],
              ]) ?? [],
          );
          expect(joined).toEqual(
            choice.logprobs?.tokens.map((_, at) => [
              choice.logprobs!.token_logprobs[at],
              choice.logprobs!.text_offset[at],
            ]) ?? [],
          );
        }
      }),
      { numRuns: 150 },
    );
  });

  test("the texts of token ids are what the prompt said", () => {
    expect(encode("Grüße 👍").map(decode).join("")).toBe("Grüße 👍");
  });
});
