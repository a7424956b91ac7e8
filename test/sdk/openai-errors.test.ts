// The official Node client: errors of each class, its own retries, time-outs, and hanging up.

import { expect, test } from "bun:test";
import OpenAI, { APIConnectionTimeoutError, APIError, APIUserAbortError } from "openai";
import { eventually, KEY, type RunningServer } from "../harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "../suite.ts";

const server = useServer();
const client = (options: object = {}) =>
  new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0, ...options });

/** What a call fails with. The client sends a call only when somebody waits for it, so `then` it must be. */
function errorOf(call: PromiseLike<unknown>): PromiseLike<unknown> {
  return call.then(
    () => null,
    (reason: unknown) => reason,
  );
}

async function failure(fields: object, options: object = {}): Promise<APIError> {
  const call = { model: MODEL, messages: HELLO, ...fields };
  const error = await errorOf(client(options).chat.completions.create(call));
  if (!(error instanceof APIError)) throw new Error(`expected an APIError, got ${error}`);
  return error;
}

/** How often a client has tried since the tap was cleared. */
const triesOn = ({ tap }: RunningServer) => tap.exchanges().length;

async function triesOf(fields: object, maxRetries: number): Promise<{ tries: number; ms: number; error: APIError }> {
  server().assertTraffic();
  server().tap.clear();
  const startedMs = performance.now();
  const error = await failure(fields, { maxRetries });
  return { tries: triesOn(server()), ms: performance.now() - startedMs, error };
}

test("400 names field and code", async () => {
  const error = await failure({ temperature: 100 });
  expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  expect(error).toMatchObject({ param: "temperature", code: "decimal_above_max_value", type: "invalid_request_error" });
  expect(error.requestID).toMatch(/^req_/);
});

test("401 for a wrong key and for none", async () => {
  expect(await failure({}, { apiKey: "sk-wrong" })).toBeInstanceOf(OpenAI.AuthenticationError);
  const error = await failure({}, { defaultHeaders: { authorization: null } });
  expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
  expect(error.message).toContain("You didn't provide an API key");
});

test("404 for an unknown model, in a call and by its id", async () => {
  expect(await failure({ model: "no/such" })).toMatchObject({ status: 404, code: "model_not_found" });
  expect(await errorOf(client().models.retrieve("no/such"))).toBeInstanceOf(OpenAI.NotFoundError);
});

test("404 for an endpoint that does not exist", async () => {
  const error = await errorOf(client().post("/nothing/here", { body: {} }));
  expect(error).toMatchObject({ status: 404, code: "unknown_url" });
});

test("a prompt that does not fit has its code", async () => {
  expect(await failure({ model: "fault-context" })).toMatchObject({ status: 400, code: "context_length_exceeded" });
});

test("429 is retried after the wait that was asked for", async () => {
  const { tries, ms, error } = await triesOf({ model: "fault-429" }, 1);
  expect(error).toBeInstanceOf(OpenAI.RateLimitError);
  expect(error.code).toBe("rate_limit_exceeded");
  expect(tries).toBe(2);
  expect(ms).toBeGreaterThan(1_300);
  expect(ms).toBeLessThan(2_600);
  const answer = await client({ maxRetries: 1 }).chat.completions.create({ model: "fault-429-once", messages: HELLO });
  expect(answer.choices[0]!.message.content).toBeTruthy();
});

test("an exhausted quota is not retried", async () => {
  const { tries, error } = await triesOf({ model: "fault-quota" }, 3);
  expect(error).toMatchObject({ status: 429, code: "insufficient_quota", type: "insufficient_quota" });
  expect(tries).toBe(1);
});

test("500, 502 and 503 are retried", async () => {
  expect(await triesOf({ model: "fault-500" }, 1)).toMatchObject({ tries: 2, error: { status: 500 } });
  expect(await triesOf({ model: "fault-502" }, 1)).toMatchObject({ tries: 2, error: { status: 502 } });
  expect(await triesOf({ model: "fault-503" }, 1)).toMatchObject({ tries: 2, error: { status: 503 } });
  expect(await failure({ model: "fault-503" })).toBeInstanceOf(OpenAI.InternalServerError);
});

test("an engine that fails before its first word keeps its status in a stream", async () => {
  expect(await failure({ model: "fault-429", stream: true })).toMatchObject({ status: 429 });
  expect(await failure({ model: "fault-context", stream: true })).toMatchObject({ status: 400 });
});

test.each(["fault-midstream", "fault-disconnect"])("a stream that breaks (%s) is raised", async (model) => {
  const stream = await client().chat.completions.create({ model, messages: HELLO, stream: true });
  const read = async () => {
    for await (const _ of stream);
  };
  await expect(read()).rejects.toBeInstanceOf(APIError);
});

test("an engine's garbage is not taken for an answer", async () => {
  const stream = await client().chat.completions.create({ model: "fault-garbage", messages: HELLO, stream: true });
  const read = Array.fromAsync(stream);
  await expect(read).rejects.toBeInstanceOf(Error);
  // What the engine said was passed on as it was: nothing to hold to the contract.
  server().tap.clear();
});

test.each(["fault-empty", "fault-disconnect"])(
  "a whole answer that breaks (%s) is an error with a status",
  async (model) => {
    expect(await failure({ model })).toMatchObject({ status: 502, code: "engine_failed" });
  },
);

test("a client's time-out", async () => {
  const slow = client({ timeout: 300 }).chat.completions.create({ model: "fault-slow", messages: HELLO });
  expect(await errorOf(slow)).toBeInstanceOf(APIConnectionTimeoutError);
});

test("hanging up in the middle of streams gives their slots back", async () => {
  const endless = { x_simulate: { tokens: 2_000, itlMs: 20 } };
  const call = { model: MODEL, messages: HELLO, stream: true as const, ...endless };
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const stream = await client().chat.completions.create(call);
        for await (const _ of stream) break;
      }),
    );
  }
  // 300 endless streams on 256 slots: had any slot been kept, this one would wait.
  await eventually(
    async () => (await client().chat.completions.create({ model: MODEL, messages: HELLO })).choices[0],
    "a free slot",
  );
});

test("an abort before the first word, and one in the middle", async () => {
  const early = new AbortController();
  const aborted = errorOf(
    client().chat.completions.create({ model: "fault-slow", messages: HELLO }, { signal: early.signal }),
  );
  setTimeout(() => early.abort(), 50);
  expect(await aborted).toBeInstanceOf(APIUserAbortError);

  const unhurried = { x_simulate: { tokens: 1_000, itlMs: 20 } };
  const body = { model: MODEL, messages: HELLO, stream: true as const, ...unhurried };
  const stream = await client().chat.completions.create(body);
  let chunks = 0;
  for await (const _ of stream) if (++chunks === 3) stream.controller.abort();
  expect(chunks).toBe(3);
});

testTraffic(server);
