// A plan over HTTP: prompts are counted by the engine that would read them, a model's weight is what it counts, and a real
// SDK does with every refusal what it is meant to.

import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { parse, stringify } from "yaml";
import { adminPlan, dataWith } from "./data.ts";
import { KEY, NOON_MS } from "./harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "./suite.ts";

const HEAVY = "mistral-7b";
const plan = { requestsPerDay: 60, requestsPerMinute: 240, inputTokensMax: 100, concurrencyMax: 8 };
const data = dataWith(() => {}, adminPlan(plan));
const modelsFile = join(data.folder, "models.yaml");
const models = parse(readFileSync(modelsFile, "utf8")) as Record<string, Record<string, unknown>>;
models[HEAVY]!.weight = 3;
writeFileSync(modelsFile, stringify(models));
afterAll(data.remove);

const server = useServer({ simulate: true, timeOfDayMs: NOON_MS, env: { OXBOW_DATA: data.folder } });

/** The SDK as people use it, and how often it really called. */
function client(maxRetries: number) {
  let calls = 0;
  const sdk = new OpenAI({
    apiKey: KEY,
    baseURL: server().baseUrl,
    maxRetries,
    fetch: (url, init) => {
      calls++;
      return fetch(url, init);
    },
  });
  return { sdk, calls: () => calls };
}

for (const model of [MODEL, "tiny"]) {
  test(`${model}: a prompt of just as many tokens as the plan allows is answered, and one more is refused by its count`, async () => {
    const { sdk } = client(9);
    const ask = (words: number) =>
      sdk.chat.completions.create({ model, max_tokens: 1, messages: [{ role: "user", content: "a ".repeat(words) }] });
    const tokensOf = async (words: number) => (await ask(words)).usage!.prompt_tokens;
    const [one, two] = [await tokensOf(1), await tokensOf(21)];
    const perWord = (two - one) / 20;
    const most = 1 + Math.floor((plan.inputTokensMax - one) / perWord);
    const largest = await tokensOf(most);
    expect(largest).toBeGreaterThan(plan.inputTokensMax - perWord);
    expect(largest).toBeLessThanOrEqual(plan.inputTokensMax);
    const error = await ask(most + 1).catch((thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>);
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded", param: "messages" });
    expect((error as Error).message).toMatch(
      new RegExp(`resulted in ${largest + perWord} tokens, but the plan Enterprise \\(2026\\) allows 100 input tokens`),
    );
  });
}

test("a model of weight 3 counts three, and the list of models says so", async () => {
  const { sdk } = client(9);
  const { response } = await sdk.chat.completions.create({ model: HEAVY, messages: HELLO }).withResponse();
  expect(response.headers.get("x-oxbow-counted")).toBe("3");
  const listed = (await sdk.models.list()).data as (OpenAI.Model & { weight?: number })[];
  expect(listed.flatMap(({ id, weight }) => (weight === undefined ? [] : [[id, weight]]))).toEqual([[HEAVY, 3]]);
});

test("every answer tells the minute and the day: of the models, of a call, of a refusal", async () => {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const post = (body: object) =>
    fetch(`${server().baseUrl}/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
  const answers = [
    await fetch(`${server().baseUrl}/models`, { headers }),
    await post({ model: MODEL, messages: HELLO, stream: true }),
    await post({ model: "nobody", messages: HELLO }),
    await post({ model: MODEL }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 400]);
  for (const answer of answers) {
    const told = (name: string) => answer.headers.get(`x-ratelimit-${name}`);
    expect([told("limit-requests"), told("limit-requests-day")]).toEqual(["240", "60"]);
    expect(Number(told("remaining-requests"))).toBeLessThanOrEqual(40);
    expect(Number(told("remaining-requests-day"))).toBeLessThan(60);
    expect(told("reset-requests")).toMatch(/^([\d.]+m?s)$/);
    expect(told("reset-requests-day")).toMatch(/^((\d+h)?\d+m)?[\d.]+m?s$/);
    await answer.body?.cancel();
  }
});

test("more at once than the plan allows: the SDK waits as it is told, and every call is answered", async () => {
  const { sdk, calls } = client(30);
  const asked = { model: MODEL, messages: HELLO, x_simulate: { ttftMs: 50 } };
  const answers = await Promise.all(Array.from({ length: 24 }, () => sdk.chat.completions.create(asked)));
  expect(answers.map(({ choices }) => choices[0]!.finish_reason)).toEqual(answers.map(() => "stop"));
  expect(calls()).toBeGreaterThan(24);
}, 60_000);

test("the day is used up: the SDK gives up at once", async () => {
  const { sdk } = client(30);
  const left = async () =>
    Number((await sdk.models.list().asResponse()).headers.get("x-ratelimit-remaining-requests-day"));
  const few = client(30);
  // What is left is less than a call of weight 3 counts: the call is refused while lighter ones still go.
  for (let remaining = await left(); remaining > 2; remaining = await left()) {
    const heavy = Array.from({ length: Math.min(8, Math.floor(remaining / 3)) }, () =>
      sdk.chat.completions.create({ model: HEAVY, messages: HELLO, max_tokens: 1 }),
    );
    await Promise.all(heavy);
  }
  const refused = few.sdk.chat.completions.create({ model: HEAVY, messages: HELLO });
  const error = (await refused.catch((thrown: unknown) => thrown)) as InstanceType<typeof OpenAI.APIError>;
  expect([error.status, error.code, few.calls()]).toEqual([429, "insufficient_quota", 1]);
}, 90_000);

testTraffic(server);
