// Caps are exact over HTTP: whatever comes at once, and however callers leave.

import { afterAll, expect, test } from "bun:test";
import { abortAtRandom } from "./crash/aborts.ts";
import { randomFrom } from "./crash/hang-up.ts";
import { adminPlan, dataWith, simulatorAlone } from "./data.ts";
import { KEY } from "./harness.ts";
import { headerOf, type Message, request, statusOf } from "./http.ts";
import { HELLO, MODEL, useServer } from "./suite.ts";

const sixty = dataWith(simulatorAlone, adminPlan({ requestsPerDay: 60 }));
afterAll(sixty.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: sixty.folder } });

test("500 calls at once against 60 left: 60 answers, 440 refusals, and both say how much is left", async () => {
  const body = JSON.stringify({ model: MODEL, messages: HELLO, x_simulate: { ttftMs: 50 } });
  const headers = { authorization: `Bearer ${KEY}` };
  const answers = (await Promise.all(
    Array.from({ length: 500 }, () =>
      request(server().port, "POST", "/v1/chat/completions", { headers, body, timeoutMs: 30_000 }),
    ),
  )) as Message[];
  const ok = answers.filter((answer) => statusOf(answer) === 200);
  const refused = answers.filter((answer) => statusOf(answer) === 429);
  expect([ok.length, refused.length]).toEqual([60, 440]);
  for (const answer of answers) expect(headerOf(answer, "x-ratelimit-limit-requests")).not.toBeNull();
  for (const answer of ok) expect(headerOf(answer, "x-oxbow-counted")).toBe("1");
  for (const answer of refused) {
    expect(headerOf(answer, "x-oxbow-counted")).toBe("0");
    expect(headerOf(answer, "x-should-retry")).toBe("false");
    const { error } = JSON.parse(answer.body.toString()) as { error: { code: string; type: string } };
    expect([error.code, error.type]).toEqual(["insufficient_quota", "insufficient_quota"]);
  }
});

test("2,000 callers who hang up at a random byte leave nothing in flight and no slot held", async () => {
  const seed = Date.now() % 1_000_000;
  expect({ seed, ...(await abortAtRandom(2_000, randomFrom(seed))) }).toEqual({ seed, held: 0, bounded: true });
}, 60_000);
