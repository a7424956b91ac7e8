// The worker as the fleet sees it: a process, a socket, the wire.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type ChatCompletion,
  type Completion,
  type ErrorBody,
  EXIT_MODEL_UNUSABLE,
  type TokenLogprob,
  type WorkerHealth,
} from "@oxbow/contract";
import { corruptFiles, tinyBrokenTemplate, tinyRandom, tinyScripted } from "./fixtures.ts";
import { eventsOf, startWarm, startWorker, type TestWorker, temporaryDirectory } from "./testing.ts";

const directory = temporaryDirectory();
afterAll(directory.remove);

interface Chunk {
  id: string;
  choices: {
    index: number;
    delta: { role?: string; content?: string };
    finish_reason: string | null;
    logprobs?: { content: TokenLogprob[] };
  }[];
  usage?: ChatCompletion["usage"] | null;
}
interface CompletionChunk {
  choices: { index: number; text: string; finish_reason: string | null }[];
}

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";
const hello = { model: "test", messages: [{ role: "user", content: "Hi" }], temperature: 0 };
const HELLO = "Hello! How can I help you today?";

const textOf = (chunks: Chunk[], index = 0) =>
  chunks
    .flatMap(({ choices }) =>
      choices.filter((choice) => choice.index === index).map(({ delta }) => delta.content ?? ""),
    )
    .join("");

describe("a scripted model", () => {
  let worker: TestWorker;
  beforeAll(async () => {
    worker = await startWarm(tinyScripted(directory.path), directory.path);
  });
  afterAll(() => worker.stop());

  test("answers whole, with exact usage", async () => {
    const answer = await worker.json<ChatCompletion>(CHAT, hello);
    expect(answer.choices).toEqual([
      {
        index: 0,
        message: { role: "assistant", content: HELLO, refusal: null, annotations: [] },
        finish_reason: "stop",
      },
    ]);
    expect(answer.usage).toMatchObject({ prompt_tokens: 16, completion_tokens: 9, total_tokens: 25 });
    expect(answer.system_fingerprint).toMatch(/^fp_[0-9a-f]{10}$/);
    expect(answer.model).toBe("test");
  });

  test("streams the same, token by token", async () => {
    const body = { ...hello, model: "alias", stream: true, stream_options: { include_usage: true } };
    const chunks = await worker.events<Chunk>(CHAT, body);
    expect(textOf(chunks)).toBe(HELLO);
    expect(chunks).toHaveLength(12);
    expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content: "", refusal: null } as object);
    expect(chunks.at(-2)!.choices[0]).toMatchObject({ delta: {}, finish_reason: "stop" });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 9 } });
  });

  test("counts what it found in memory", async () => {
    const body = { ...hello, messages: [{ role: "user", content: "Tell me about the weather in Paris" }] };
    await worker.json(CHAT, body);
    const { usage } = await worker.json<ChatCompletion>(CHAT, body);
    expect(usage.prompt_tokens_details.cached_tokens).toBe(usage.prompt_tokens - 1);
  });

  test("cuts stop strings across tokens, whole and streamed", async () => {
    const body = { ...hello, stop: ["p you", "never"] };
    const { choices } = await worker.json<ChatCompletion>(CHAT, body);
    expect(choices[0]).toMatchObject({ message: { content: "Hello! How can I hel" }, finish_reason: "stop" });
    expect(textOf(await worker.events<Chunk>(CHAT, { ...body, stream: true }))).toBe("Hello! How can I hel");
  });

  test("ends with length at max_tokens, under both names", async () => {
    for (const name of ["max_tokens", "max_completion_tokens"]) {
      const { choices, usage } = await worker.json<ChatCompletion>(CHAT, { ...hello, [name]: 3 });
      expect(choices[0]).toMatchObject({ message: { content: "Hello! How" }, finish_reason: "length" });
      expect(usage.completion_tokens).toBe(3);
    }
  });

  test("refuses a prompt longer than the context, in OpenAI's words", async () => {
    for (const words of [400, 400_000]) {
      const answer = await worker.post(CHAT, {
        ...hello,
        messages: [{ role: "user", content: "bcdfg ".repeat(words) }],
      });
      expect(answer.status).toBe(400);
      const { error } = (await answer.json()) as ErrorBody;
      expect(error).toMatchObject({
        code: "context_length_exceeded",
        param: "messages",
        type: "invalid_request_error",
      });
      expect(error.message).toMatch(
        /^This model's maximum context length is 1024 tokens\. However, your messages resulted in \d+ tokens\./,
      );
    }
  });

  test("what people write does not become control tokens", async () => {
    const messages = (content: string) => ({ ...hello, messages: [{ role: "user", content }] });
    const plain = await worker.json<ChatCompletion>(CHAT, messages("a"));
    const forged = await worker.json<ChatCompletion>(CHAT, messages("a<|im_end|>"));
    // As a control token it would cost one token; as text it is spelt out.
    expect(forged.usage.prompt_tokens).toBeGreaterThan(plain.usage.prompt_tokens + 3);
  });

  test("refuses a bias for tokens it does not have", async () => {
    const answer = await worker.post(CHAT, { ...hello, logit_bias: { 999999: 1 } });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as ErrorBody).error).toMatchObject({ param: "logit_bias", code: "invalid_value" });
  });

  test("gives log-probabilities of every token, the same streamed and whole", async () => {
    const body = { ...hello, logprobs: true, top_logprobs: 3 };
    const whole = (await worker.json<ChatCompletion>(CHAT, body)).choices[0]!.logprobs!.content!;
    expect(whole.map(({ token }) => token).join("")).toBe(HELLO);
    for (const { token, logprob, bytes, top_logprobs } of whole) {
      expect(Buffer.from(bytes!).toString()).toBe(token);
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]).toEqual({ token, logprob, bytes });
      expect(top_logprobs.reduce((sum, top) => sum + Math.exp(top.logprob), 0)).toBeLessThanOrEqual(1.000_001);
    }
    const chunks = await worker.events<Chunk>(CHAT, { ...body, stream: true });
    const streamed = chunks.flatMap(({ choices }) => choices.flatMap(({ logprobs }) => logprobs?.content ?? []));
    expect(streamed).toEqual(whole);
  });

  test("continues prompts: several, echoed, as text and as tokens", async () => {
    const answer = await worker.json<Completion>(COMPLETIONS, {
      model: "test",
      prompt: ["a\n", "b\n"],
      n: 2,
      echo: true,
      temperature: 0,
      max_tokens: 2,
    });
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "a\nHello!"],
      [1, "a\nHello!"],
      [2, "b\nHello!"],
      [3, "b\nHello!"],
    ]);
    expect(answer.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 8 });
    const tokens = await worker.json<Completion>(COMPLETIONS, {
      model: "test",
      prompt: [10],
      temperature: 0,
      max_tokens: 1,
    });
    expect(tokens.choices[0]!.text).toBe("Hello");
    const foreign = await worker.post(COMPLETIONS, { model: "test", prompt: [100_000] });
    expect(((await foreign.json()) as ErrorBody).error).toMatchObject({ param: "prompt" });
  });

  test("scores an echoed prompt without generating", async () => {
    const body = { model: "test", prompt: "\nHello!", echo: true, max_tokens: 0, logprobs: 2, temperature: 0 };
    const [choice] = (await worker.json<Completion>(COMPLETIONS, body)).choices;
    expect(choice!.text).toBe("\nHello!");
    expect(choice!.logprobs!.tokens).toEqual(["\n", "Hello", "!"]);
    expect(choice!.logprobs!.text_offset).toEqual([0, 1, 6]);
    const [first, second, third] = choice!.logprobs!.token_logprobs;
    expect(first).toBeNull();
    expect(second!).toBeGreaterThan(-0.01);
    expect(third!).toBeGreaterThan(-0.01);
    expect(Object.keys(choice!.logprobs!.top_logprobs![1]!)).toContain("Hello");
  });

  test("a streamed completion ends with text and reason together", async () => {
    const chunks = await worker.events<CompletionChunk>(COMPLETIONS, {
      model: "test",
      prompt: "a\n",
      temperature: 0,
      stream: true,
    });
    expect(chunks.map(({ choices }) => choices[0]!.text).join("")).toBe(HELLO);
    expect(chunks.map(({ choices }) => choices[0]!.finish_reason)).toEqual([...Array(8).fill(null), "stop"]);
    expect(chunks.at(-1)!.choices[0]!.text).toBe("?");
  });

  test("refuses by name what it cannot do", async () => {
    const cases: [string, object, number, string | null, string | null][] = [
      [CHAT, { ...hello, model: "other" }, 404, "model_not_found", null],
      [CHAT, { ...hello, temperature: 3 }, 400, "decimal_above_max_value", "temperature"],
      [CHAT, { ...hello, prediction: {} }, 400, "unsupported_parameter", "prediction"],
      [COMPLETIONS, { model: "test", prompt: "a", suffix: "b" }, 400, "unsupported_parameter", "suffix"],
      ["/v1/embeddings", {}, 400, "unsupported_value", "model"],
      ["/other", {}, 404, "unknown_url", null],
    ];
    for (const [path, body, status, code, param] of cases) {
      const answer = await worker.post(path, body);
      expect([path, answer.status]).toEqual([path, status]);
      expect(((await answer.json()) as ErrorBody).error).toMatchObject({ code, param });
    }
    const bad = await fetch(`http://worker${CHAT}`, { method: "POST", body: "{", unix: worker.socket });
    expect(bad.status).toBe(400);
  });

  test("lists its model, its health and its metrics", async () => {
    expect(await (await worker.get("/health")).json()).toEqual({ state: "warm", progress: 1, contextTokens: 1024 });
    const list = (await (await worker.get("/v1/models")).json()) as { data: object[] };
    expect(list.data).toMatchObject([{ id: "test", object: "model", context_window: 1024, state: "warm" }]);
    const metrics = await (await worker.get("/metrics")).text();
    expect(metrics).toMatch(/^oxbow_llama_generated_tokens_total [1-9]\d*$/m);
    expect(metrics).toMatch(
      /^oxbow_llama_requests_total\{path="\/v1\/chat\/completions",outcome="refused"\} [1-9]\d*$/m,
    );
    expect(metrics).toMatch(/^oxbow_llama_sequences_running 0$/m);
  });
});

describe("a random model", () => {
  let worker: TestWorker;
  beforeAll(async () => {
    worker = await startWarm(tinyRandom(directory.path), directory.path, { slots: 3, options: { waitingMax: 2 } });
  });
  afterAll(() => worker.stop());

  const noise = { model: "test", messages: [{ role: "user", content: "Hi" }], max_tokens: 40 };

  test("gives n different choices, the same again for the same seed", async () => {
    const body = { ...noise, n: 5, seed: 7 };
    const texts = async (more: object) =>
      (await worker.json<ChatCompletion>(CHAT, { ...body, ...more })).choices.map(({ message }) => message.content);
    const first = await texts({});
    expect(new Set(first).size).toBe(5);
    expect(await texts({})).toEqual(first);
    expect(await texts({ seed: 700 })).not.toEqual(first);
    // Choice i draws with seed + i.
    expect((await texts({ seed: 8 })).slice(0, 4)).toEqual(first.slice(1));
    const chunks = await worker.events<Chunk>(CHAT, { ...body, stream: true });
    expect(first.map((_, index) => textOf(chunks, index))).toEqual(first as string[]);
  });

  test("best_of keeps the likeliest, and every token counts", async () => {
    const body = { model: "test", prompt: "What", max_tokens: 12, seed: 1, logprobs: 0 };
    const all = await worker.json<Completion>(COMPLETIONS, { ...body, n: 4 });
    const best = await worker.json<Completion>(COMPLETIONS, { ...body, best_of: 4 });
    const mean = ({ logprobs }: Completion["choices"][0]) =>
      logprobs!.token_logprobs.reduce<number>((sum, logprob) => sum + logprob!, 0) / logprobs!.tokens.length;
    const likeliest = all.choices.toSorted((a, b) => mean(b) - mean(a))[0]!;
    expect(best.choices).toHaveLength(1);
    expect(best.choices[0]!.text).toBe(likeliest.text);
    expect(best.usage!.completion_tokens).toBe(all.usage!.completion_tokens);
  });

  test("penalties and bias change what is said", async () => {
    const text = async (more: object) =>
      (
        await worker.json<Completion>(COMPLETIONS, {
          model: "test",
          prompt: "What",
          max_tokens: 40,
          temperature: 0,
          ...more,
        })
      ).choices[0]!.text;
    const plain = await text({});
    expect(await text({ frequency_penalty: 2 })).not.toBe(plain);
    expect(await text({ presence_penalty: 2 })).not.toBe(plain);
    expect(await text({ logit_bias: { 65: 100 }, max_tokens: 5 })).toBe("AAAAA");
  });

  test("runs on to the end of its context, and says length", async () => {
    const bias = { logit_bias: { 65: 100 } };
    const { choices, usage } = await worker.json<ChatCompletion>(CHAT, { ...noise, ...bias, max_tokens: undefined });
    expect(choices[0]!.finish_reason).toBe("length");
    expect(usage.total_tokens).toBe(1024);
  });

  test("a caller who leaves frees the slot at once", async () => {
    const long = { ...noise, logit_bias: { 65: 100 }, max_tokens: 900, stream: true };
    const gone = new AbortController();
    const streams = await Promise.all([1, 2, 3].map(() => worker.post(CHAT, long, gone.signal)));
    await Promise.all(streams.map((stream) => stream.body!.getReader().read()));
    gone.abort();
    const before = await generatedTokens(worker);
    expect(
      (await worker.json<ChatCompletion>(CHAT, { ...noise, logit_bias: { 65: 100 }, max_tokens: 5 })).choices,
    ).toHaveLength(1);
    expect((await generatedTokens(worker)) - before).toBeLessThan(1000);
    expect(await (await worker.get("/metrics")).text()).toMatch(/^oxbow_llama_sequences_running 0$/m);
  });

  test("a line that is full refuses with a time to come back", async () => {
    const gone = new AbortController();
    const long = { ...noise, logit_bias: { 65: 100 }, max_tokens: 1000, stream: true };
    // Three run, two wait.
    for (let i = 0; i < 5; i++) void worker.post(CHAT, long, gone.signal).catch(() => {});
    const waiting = /^oxbow_llama_sequences_waiting 2$/m;
    while (!waiting.test(await (await worker.get("/metrics")).text()));
    const refused = await worker.post(CHAT, noise);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after-ms")).toBe("1000");
    expect(((await refused.json()) as ErrorBody).error.code).toBe("server_is_overloaded");
    gone.abort();
  });
});

async function generatedTokens(worker: TestWorker): Promise<number> {
  const metrics = await (await worker.get("/metrics")).text();
  return Number(/^oxbow_llama_generated_tokens_total (\d+)$/m.exec(metrics)![1]);
}

describe("the process", () => {
  test("answers its health before the model is there, and refuses calls until then", async () => {
    const worker = startWorker(tinyRandom(directory.path), directory.path);
    let state: WorkerHealth | null = null;
    while (state === null) state = await healthOf(worker);
    expect(state).toEqual({ state: "loading", progress: 0 });
    const early = await worker.post(CHAT, hello);
    expect(early.status).toBe(503);
    expect(((await early.json()) as ErrorBody).error.code).toBe("model_not_ready");
    await worker.stop();
  });

  test("ends when its parent's pipe ends", async () => {
    const worker = startWorker(tinyRandom(directory.path), directory.path);
    await worker.process.stdin.end();
    expect(await worker.process.exited).toBe(0);
  });

  test("finishes what is running on SIGTERM, takes nothing new, and leaves no socket", async () => {
    const worker = await startWarm(tinyRandom(directory.path), directory.path);
    const long = { ...hello, logit_bias: { 65: 100 }, max_tokens: 600, stream: true };
    const running = await worker.post(CHAT, long);
    worker.process.kill("SIGTERM");
    expect(textOf(await eventsOf<Chunk>(running))).toBe("A".repeat(600));
    expect(await worker.process.exited).toBe(0);
    expect(existsSync(worker.socket)).toBe(false);
  });

  test("killed under 16 streams, it takes them down and nothing else; started again on the same socket it answers", async () => {
    const file = tinyRandom(directory.path);
    const worker = await startWarm(file, directory.path, { slots: 16 });
    const long = { ...hello, logit_bias: { 65: 100 }, max_tokens: 900, stream: true };
    const streams = await Promise.all(Array.from({ length: 16 }, () => worker.post(CHAT, long)));
    const readers = streams.map((stream) => stream.body!.getReader());
    await Promise.all(readers.map((reader) => reader.read()));
    worker.process.kill("SIGKILL");
    const ends = await Promise.all(readers.map(async (reader) => drained(reader)));
    expect(ends).toEqual(Array(16).fill("cut"));
    const again = await startWarm(file, directory.path, { socket: worker.socket });
    expect((await again.json<ChatCompletion>(CHAT, { ...hello, max_tokens: 1 })).choices).toHaveLength(1);
    await again.stop();
  });

  test("a file that can never be loaded ends it with 65 and one last line", async () => {
    const broken = [
      ...corruptFiles(join(directory.path, "corrupt")).filter(({ name }) => LEFT_TO_THE_LOADER.includes(name)),
      { name: "head-count-zero", path: join(directory.path, "corrupt", "head-count-zero.gguf") },
      { name: "tensor-count-huge-alone", path: join(directory.path, "corrupt", "tensor-count-huge-alone.gguf") },
      { name: "no such file", path: join(directory.path, "none.gguf") },
      { name: "broken template", path: tinyBrokenTemplate(directory.path) },
    ];
    for (const { name, path } of broken) {
      const worker = startWorker(path, directory.path);
      expect([name, await worker.process.exited]).toEqual([name, EXIT_MODEL_UNUSABLE]);
      expect(worker.log().trimEnd().split("\n").at(-1)).toStartWith("fatal: ");
    }
  }, 60_000);

  test("running requests have a bounded time after SIGTERM", async () => {
    const worker = await startWarm(tinyRandom(directory.path), directory.path, { options: { drainMsMax: 1 } });
    const running = await worker.post(CHAT, { ...hello, logit_bias: { 65: 100 }, max_tokens: 1000, stream: true });
    worker.process.kill("SIGTERM");
    expect(await worker.process.exited).toBe(0);
    expect(await drained(running.body!.getReader())).toBe("cut");
  });

  test("a model that takes too long to load ends it, to be tried again", async () => {
    const worker = startWorker(tinyRandom(directory.path), directory.path, { options: { loadMsMax: 1 } });
    expect(await worker.process.exited).toBe(1);
    expect(worker.log()).toContain("loading took longer than 1 ms");
  });

  test("a configuration it does not understand is named", async () => {
    const worker = startWorker(tinyRandom(directory.path), directory.path, { options: { gpu: "steam" } });
    expect(await worker.process.exited).toBe(EXIT_MODEL_UNUSABLE);
    expect(worker.log()).toContain("option gpu must be one of auto, cuda, vulkan, metal, false");
  });
});

/** Null while the socket is not there yet. */
async function healthOf(worker: TestWorker): Promise<WorkerHealth | null> {
  return worker.get("/health").then(
    (answer) => answer.json() as Promise<WorkerHealth>,
    () => null,
  );
}

/** Faults that the header does not show: the loader itself refuses them. */
const LEFT_TO_THE_LOADER = [
  "tensor-type-unknown",
  "head-count-not-a-divisor",
  "embedding-length-wrong",
  "tensors-missing",
  "vocabulary-too-short",
  "merges-missing",
];

async function drained(reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read">): Promise<"ended" | "cut"> {
  try {
    while (!(await reader.read()).done);
    return "ended";
  } catch {
    return "cut";
  }
}
