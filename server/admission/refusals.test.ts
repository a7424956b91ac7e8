// What a refused caller reads, and what his SDK makes of it.

import { expect, test } from "bun:test";
import { ApiError, retryHeaders } from "@oxbow/contract";
import { durationText } from "./headers.ts";
import type { Measure } from "./terms.ts";
import { admissionTo, askOf, callerOf, LARGE, PLANS, SMALL } from "./testing.ts";

type More = Parameters<typeof askOf>[0];

async function refusalOf(setup: ReturnType<typeof admissionTo>, more: More): Promise<ApiError> {
  const error = await setup.admission.admit(askOf(more)).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ApiError) return error;
  throw new Error(`not refused: ${error}`);
}

const said = ({ kind, code, param, message }: ApiError & { code?: never }) => ({
  status: kind.status,
  code: code ?? kind.code,
  param,
  message,
});

test("a model of another tier: the tier, and the plans that have it, the cheapest first", async () => {
  expect(said(await refusalOf(admissionTo(1), { model: LARGE }))).toEqual({
    status: 403,
    code: "model_not_allowed",
    param: "model",
    message:
      "The model `large-1` is of the tier large, which the plan Bronze (2) does not have. Silver (2), Gold (2) and Whole (2) have it.",
  });
  const huge = await refusalOf(admissionTo(1), { model: { ...LARGE, tier: "huge" } });
  expect(huge.message).toEndWith("does not have. Whole (2) has it.");
  const none = await refusalOf(admissionTo(1), { model: { ...LARGE, tier: "new" } });
  expect(none.message).toEndWith("does not have. No plan on sale has it: ask the operator.");
});

test("a model that the key was not made for: those that it was", async () => {
  const { message } = await refusalOf(admissionTo(1), { caller: callerOf({ keyModels: ["b-1", "c-1"] }) });
  expect(message).toBe(
    "This API key may not call the model `small-1`, only `b-1` and `c-1`. Another key of the account may.",
  );
});

test("a prompt above the plan's cap: told from the model's context, and lifted by a plan that has room for this one", async () => {
  const tokens = { inputTokens: 99_999, countTokens: async () => 4001 };
  expect(said(await refusalOf(admissionTo(1), { ...tokens, inputField: "prompt" }))).toEqual({
    status: 400,
    code: "context_length_exceeded",
    param: "prompt",
    message:
      "Your prompt resulted in 4001 tokens, but the plan Bronze (2) allows 2000 input tokens a request. That is the limit of the plan, not the model's, whose context is 32000 tokens. Please reduce the length of the prompt. Gold (2) allows 16000.",
  });
  const agreed = callerOf({ overrides: { inputTokensMax: 20_000 } });
  const { message } = await refusalOf(admissionTo(1), { caller: agreed, inputTokens: 20_001 });
  expect(message).toBe(
    "Your messages resulted in 20001 tokens, but your contract allows 20000 input tokens a request. That is the limit of the plan, not the model's, whose context is 32000 tokens. Please reduce the length of the messages. Whole (2) has no fixed limit, by contract.",
  );
  const unknown = { model: { ...SMALL, contextTokens: null }, inputTokens: 2001 };
  expect((await refusalOf(admissionTo(1), unknown)).message).toContain("That is the limit of the plan. Please");
});

test("more answers than tokens: no length would be left to cut to", async () => {
  expect(said(await refusalOf(admissionTo(1), { choices: 4001 }))).toEqual({
    status: 400,
    code: "output_limit_exceeded",
    param: "n",
    message:
      "You asked for 4001 answers in one call, but the plan Bronze (2) allows 4000 output tokens a request, which is less than one for each. Ask for fewer. Silver (2) allows 8000.",
  });
});

test("too many a minute: both fields, the same moment in words, and no word that stops a framework", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ overrides: { concurrencyMax: null } });
  await setup.admission.admit(askOf({ caller }));
  setup.clock.monotonic += 10_654.3;
  const error = await refusalOf(setup, { caller });
  expect(said(error)).toEqual({
    status: 429,
    code: "rate_limit_exceeded",
    param: null,
    message:
      "Rate limit reached for requests per minute: the plan Bronze (2) allows 5 a minute, at an even pace. Silver (2) allows 60. Please try again in 1.35s.",
  });
  expect(retryHeaders(error)).toEqual({ "retry-after-ms": "1350", "retry-after": "2" });
});

test("too many at the same time", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ overrides: { requestsPerMinute: null } });
  await setup.admission.admit(askOf({ caller }));
  const error = await refusalOf(setup, { caller });
  expect(error.message).toBe(
    "Rate limit reached for concurrent requests: the plan Bronze (2) allows 1 at the same time, and 1 is running. Silver (2) allows 20. Please try again in 1s.",
  );
  expect(retryHeaders(error)).toEqual({ "retry-after-ms": "1000", "retry-after": "1" });
});

test("the day is used up: not worth a repeat, and when it is over", async () => {
  const setup = admissionTo(99);
  const caller = callerOf({ overrides: { requestsPerMinute: null, concurrencyMax: null } });
  for (let call = 0; call < 60; call++) await setup.admission.admit(askOf({ caller }));
  const error = await refusalOf(setup, { caller });
  expect(said(error)).toEqual({
    status: 429,
    code: "insufficient_quota",
    param: null,
    message:
      "You exceeded your current quota: the plan Bronze (2) allows 60 requests a day, of which 60 are used. A new day begins at 00:00 UTC, in 16h0m0s. Silver (2) allows 1000.",
  });
  expect(error.kind.type).toBe("insufficient_quota");
  expect(retryHeaders(error)).toEqual({ "x-should-retry": "false" });
});

test("what a call counts is said where it is more than one", async () => {
  const caller = callerOf({ overrides: { requestsPerDay: 2 } });
  const { message } = await refusalOf(admissionTo(1), { caller, model: { ...SMALL, weight: 3 } });
  expect(message).toContain("your contract allows 2 requests a day, of which 0 are used, and this call counts 3.");
});

test("a key's own share of the day", async () => {
  const setup = admissionTo(9);
  const caller = callerOf({ keyRequestsPerDay: 1, overrides: { requestsPerMinute: null, concurrencyMax: null } });
  await setup.admission.admit(askOf({ caller }));
  expect((await refusalOf(setup, { caller })).message).toBe(
    "You exceeded your current quota: this API key may make 1 requests a day, of which 1 are used. A new day begins at 00:00 UTC, in 16h0m0s. Another key of the account may have more.",
  );
});

test("less than a minute before midnight the day's wait is a short one", async () => {
  const setup = admissionTo(9);
  setup.clock.now += 16 * 3_600_000 - 60_000;
  const caller = callerOf({ overrides: { requestsPerDay: 1, requestsPerMinute: null, concurrencyMax: null } });
  await setup.admission.admit(askOf({ caller }));
  const error = await refusalOf(setup, { caller });
  expect([error.row, error.retryAfterMs]).toEqual(["rate_limit_exceeded", 60_000]);
  expect(error.message).toBe(
    "Rate limit reached for requests per day: your contract allows 1 a day, of which 1 are used. Silver (2) allows 1000. Please try again in 60s.",
  );
  setup.clock.now -= 1;
  expect((await refusalOf(setup, { caller })).row).toBe("insufficient_quota");
});

test("who has the most hears that only the operator can help", async () => {
  const plans = PLANS.filter(({ id }) => id !== "whole");
  const setup = admissionTo(1, { plans: () => plans });
  const { message } = await refusalOf(setup, {
    caller: callerOf({ plan: { id: "gold", version: 2 } }),
    inputTokens: 1e6,
  });
  expect(message).toEndWith("No plan on sale allows more: ask the operator.");
});

test("a plan that is no longer on sale is kept, and never offered", async () => {
  const caller = callerOf({ plan: { id: "silver", version: 1 } });
  const { message } = await refusalOf(admissionTo(1), { caller, inputTokens: 8001 });
  expect(message).toContain("the plan Silver (1) allows 8000");
  expect(message).toEndWith("Gold (2) allows 16000.");
});

/** LangChain.js stops at these words, whatever the fields say (its core 1.2.13, measured). */
const STOPPING =
  /insufficient[_ -]?quota|exceeded (your|the current|the available).+quota|usage quota|quota (has been )?exhausted|billing|credit balance|out of credits|will reset at/i;

test("callers who are refused together are told different moments, never sooner than it helps, never above a minute", async () => {
  let chance = 0;
  const setup = admissionTo(9, { random: () => chance });
  const caller = callerOf({ overrides: { concurrencyMax: null } });
  await setup.admission.admit(askOf({ caller }));
  const waits = new Set<number>();
  for (const ms of [0, 100, 6000, 11_990]) {
    setup.clock.monotonic = ms;
    for (chance = 0; chance < 1; chance += 0.1) {
      const { retryAfterMs, message } = await refusalOf(setup, { caller });
      expect(retryAfterMs!).toBeGreaterThanOrEqual(12_000 - ms);
      expect(retryAfterMs!).toBeLessThanOrEqual(60_000);
      expect(message).toEndWith(`Please try again in ${retryAfterMs! / 1000}s.`);
      expect(message).not.toMatch(STOPPING);
      expect(message).toMatch(/try again in \d+(\.\d\d?)?s\.$/);
      waits.add(retryAfterMs!);
    }
  }
  expect(waits.size).toBeGreaterThan(30);
});

test("every answer tells the minute and the day", async () => {
  const setup = admissionTo(9);
  await setup.admission.admit(askOf());
  expect(setup.admission.headers(callerOf())).toEqual({
    "x-ratelimit-limit-requests": "5",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "12s",
    "x-ratelimit-limit-requests-day": "60",
    "x-ratelimit-remaining-requests-day": "59",
    "x-ratelimit-reset-requests-day": "16h0m0s",
  });
});

test("a limit that a plan does not have has no fields; without a minute the plain ones are the day's", () => {
  const { admission } = admissionTo(9);
  expect(admission.headers(callerOf({ plan: { id: "whole", version: 2 } }))).toEqual({});
  const daily = admission.headers(callerOf({ overrides: { requestsPerMinute: null } }));
  expect(daily).toMatchObject({ "x-ratelimit-limit-requests": "60", "x-ratelimit-limit-requests-day": "60" });
});

test("durations are Go's", () => {
  const texts = [0, -5, 0.2, 120, 999.4, 1000, 1350, 59_999, 60_000, 360_000, 3_600_000, 57_602_500].map(durationText);
  expect(texts).toEqual(
    ["0s", "0s", "1ms", "120ms", "1s", "1s", "1.35s", "59.999s", "1m0s", "6m0s", "1h0m0s", "16h0m2.5s"], // as Go prints
  );
});

test("a recording, an image or a text to be spoken above the plan's cap: what it has, what is allowed, who allows more", async () => {
  const measures = (limit: Measure["limit"], amount: number) => ({ measures: [{ limit, amount, field: "file" }] });
  expect(said(await refusalOf(admissionTo(1), measures("audioSecondsMax", 200.01)))).toEqual({
    status: 400,
    code: "input_limit_exceeded",
    param: "file",
    message:
      "Your file has 200.1 seconds of audio, but the plan Bronze (2) allows 200 seconds of audio a request. Please send a shorter recording, or a long one in parts. Silver (2) allows 400.",
  });
  const { message } = await refusalOf(admissionTo(1), measures("imagePixelsMax", 5_000_000));
  expect(message).toContain("5000000 pixels, but the plan Bronze (2) allows 2000000 pixels a request.");
  expect((await refusalOf(admissionTo(1), measures("speechCharactersMax", 50_000))).message).toContain(
    "Whole (2) has no fixed limit, by contract.",
  );
  const { admission } = admissionTo(1);
  (await admission.admit(askOf(measures("audioSecondsMax", 200)))).close();
});
