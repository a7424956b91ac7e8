// Caps are exact over HTTP: whatever comes at once, and however callers leave.

import { afterAll, expect, test } from "bun:test";
import { abortAtRandom } from "./crash/aborts.ts";
import { randomFrom } from "./crash/hang-up.ts";
import { adminPlan, dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY, NOON_MS, startServer } from "./harness.ts";
import { headerOf, type Message, request, statusOf } from "./http.ts";
import { HELLO, MODEL, useServer } from "./suite.ts";

const sixty = dataWith(simulatorAlone, adminPlan({ requestsPerDay: 60 }));
afterAll(sixty.remove);
const server = useServer({ simulate: true, timeOfDayMs: NOON_MS, env: { OXBOW_DATA: sixty.folder } });

const headers = { authorization: `Bearer ${KEY}` };
const call = async (port: number, fields: object): Promise<Message> => {
  const body = JSON.stringify({ model: MODEL, messages: HELLO, ...fields });
  return (await request(port, "POST", "/v1/chat/completions", { headers, body, timeoutMs: 30_000 }))!;
};

test("an answer longer than the plan allows is cut to the plan's length, and says so", async () => {
  const data = dataWith(simulatorAlone, adminPlan({ outputTokensMax: 8 }));
  const short = await startServer({ simulate: true, timeOfDayMs: NOON_MS, env: { OXBOW_DATA: data.folder } });
  try {
    const asked = { x_simulate: { tokens: 50 } };
    for (const [fields, clamped, finish] of [
      [{ max_tokens: 20 }, "8", "length"],
      [{ max_completion_tokens: 20 }, "8", "length"],
      [{ max_tokens: 8 }, null, "length"],
      [{}, null, "length"],
      [{ max_tokens: 20, x_simulate: { tokens: 4 } }, "8", "stop"],
    ] as const) {
      const whole = await call(short.port, { ...asked, ...fields });
      expect(headerOf(whole, "x-oxbow-max-tokens-clamped")).toBe(clamped);
      const { choices, usage } = JSON.parse(whole.body.toString());
      expect([choices[0].finish_reason, usage.completion_tokens <= 8]).toEqual([finish, true]);
      const stream = await call(short.port, { ...asked, ...fields, stream: true });
      expect(headerOf(stream, "x-oxbow-max-tokens-clamped")).toBe(clamped);
      expect(stream.body.toString()).toContain(`"finish_reason":"${finish}"`);
    }
  } finally {
    await short.stop();
    data.remove();
  }
});

test("a stream that waits in line longer than a keep-alive comes to it has all its header fields, and usage sees it run", async () => {
  const data = dataWith(
    (table) => {
      simulatorAlone(table);
      table.engines.simulator!.slots = 1;
    },
    adminPlan({ outputTokensMax: 8 }),
  );
  const busy = await startServer({
    simulate: true,
    timeOfDayMs: NOON_MS,
    env: { OXBOW_DATA: data.folder, OXBOW_KEEPALIVE_MS: "100" },
  });
  try {
    const first = call(busy.port, { stream: true, x_simulate: { ttftMs: 1_000, tokens: 2 } });
    const today = async () =>
      JSON.parse((await request(busy.port, "GET", "/v1/usage", { headers }))!.body.toString()).today;
    await eventually(async () => (await today()).in_flight === 1, "the first one runs");
    const waited = call(busy.port, { stream: true, max_tokens: 20, x_simulate: { tokens: 50 } });
    await eventually(async () => (await today()).in_flight === 2, "the second one waits");
    expect(await today()).toMatchObject({ used: 0 });
    const stream = await waited;
    expect(stream.body.toString()).toStartWith(":");
    expect(headerOf(stream, "x-oxbow-max-tokens-clamped")).toBe("8");
    expect(stream.body.toString()).toEndWith("data: [DONE]\n\n");
    await first;
    expect(await today()).toMatchObject({ used: 2, in_flight: 0 });
  } finally {
    await busy.stop();
    data.remove();
  }
});

test("the day's quota opens again at midnight UTC, and a moment before that waiting is what helps", async () => {
  const data = dataWith(simulatorAlone, adminPlan({ requestsPerDay: 1 }));
  const late = await startServer({
    simulate: true,
    timeOfDayMs: 2 * NOON_MS - 8_000,
    env: { OXBOW_DATA: data.folder },
  });
  try {
    // A start on a busy machine may take until after midnight: then there is no moment before it left to look at.
    const used = await call(late.port, {});
    expect(statusOf(used)).toBe(200);
    const refused = await call(late.port, {});
    expect(statusOf(refused)).toBe(429);
    if (refused.body.includes("rate_limit_exceeded")) {
      expect(Number(headerOf(refused, "retry-after"))).toBeLessThanOrEqual(10);
      await eventually(async () => statusOf(await call(late.port, {})) === 200, "the next day has begun");
    } else expect(refused.body.toString()).toContain("insufficient_quota");
  } finally {
    await late.stop();
    data.remove();
  }
});

test("500 calls at once against 60 left: 60 answers, 440 refusals, and both say how much is left", async () => {
  const answers = await Promise.all(
    Array.from({ length: 500 }, () => call(server().port, { x_simulate: { ttftMs: 50 } })),
  );
  const ok = answers.filter((answer) => statusOf(answer) === 200);
  const refused = answers.filter((answer) => statusOf(answer) === 429);
  expect([ok.length, refused.length]).toEqual([60, 440]);
  for (const answer of ok) {
    expect(headerOf(answer, "x-oxbow-counted")).toBe("1");
    expect(Number(headerOf(answer, "x-ratelimit-remaining-requests-day"))).toBeLessThan(60);
  }
  expect((await call(server().port, {})).body.toString()).toContain("insufficient_quota");
  for (const answer of refused) {
    expect(headerOf(answer, "x-oxbow-counted")).toBe("0");
    expect(headerOf(answer, "x-should-retry")).toBe("false");
    expect(headerOf(answer, "x-ratelimit-limit-requests")).toBe("60");
    expect(headerOf(answer, "x-ratelimit-reset-requests")).toMatch(/^(\d+h)?(\d+m)?[\d.]+m?s$/);
    const { error } = JSON.parse(answer.body.toString()) as { error: { code: string; type: string } };
    expect([error.code, error.type]).toEqual(["insufficient_quota", "insufficient_quota"]);
  }
});

test("2,000 callers who hang up at a random byte leave nothing in flight and no slot held", async () => {
  const seed = Date.now() % 1_000_000;
  expect({ seed, ...(await abortAtRandom(2_000, randomFrom(seed))) }).toEqual({ seed, held: 0, bounded: true });
}, 60_000);
