// The metrics of a real server, read by Prometheus' own parser: who gets them, and whether they say what the ledger says.

import { afterAll, expect, test } from "bun:test";
import { openUsage } from "../server/ledger/ledger.ts";
import { adminPlan, dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY, startServer } from "./harness.ts";
import { scrape, sumOf } from "./scrape.ts";
import { HELLO, MODEL, useServer } from "./suite.ts";

const TOKEN = "a-token-for-the-scraper-alone";
const data = dataWith(simulatorAlone, adminPlan({ requestsPerDay: 30 }));
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder, OXBOW_METRICS_TOKEN: TOKEN } });

const get = (authorization?: string, port = server().port) =>
  fetch(`http://127.0.0.1:${port}/metrics`, authorization === undefined ? {} : { headers: { authorization } });

async function send(fields: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${server().port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
  });
}
const read = async (fields: object, headers?: Record<string, string>) => (await send(fields, headers)).text();

test("the metrics are for the operator: his keys, the token of their own, and nobody else", async () => {
  expect((await get()).status).toBe(401);
  expect((await get("Bearer ox_live_wrong")).status).toBe(401);
  expect((await get(`Bearer ${TOKEN}x`)).status).toBe(401);
  expect((await get(`Bearer ${TOKEN}`)).status).toBe(200);
  const answer = await get(`Bearer ${KEY}`);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const models = await fetch(`http://127.0.0.1:${server().port}/v1/models`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  expect(models.status).toBe(401);
});

test("they can be open, or off", async () => {
  for (const [access, status] of [
    ["open", 200],
    ["off", 404],
  ] as const) {
    const other = await startServer({ simulate: true, env: { OXBOW_DATA: data.folder, OXBOW_METRICS: access } });
    try {
      expect((await get(undefined, other.port)).status).toBe(status);
    } finally {
      await other.stop();
    }
  }
});

test("after a mixed load the counts are those of the ledger", async () => {
  const calls = [
    ...Array.from({ length: 8 }, () => read({})),
    ...Array.from({ length: 8 }, () => read({ stream: true, stream_options: { include_usage: true } })),
    ...Array.from({ length: 3 }, () => read({ stream: true, model: "fault-midstream" })),
    ...Array.from({ length: 3 }, () => read({ model: "fault-500" })),
    ...Array.from({ length: 2 }, () => read({}, { "x-stainless-retry-count": "1" })),
    read({ temperature: 9 }),
    read({ model: "nobody-has-this" }),
    read({}, { authorization: "Bearer nobody" }),
  ];
  await Promise.all(calls);
  // He leaves in the middle of a stream: that counts too.
  const leaving = await send({ stream: true, x_simulate: { tokens: 1_000, itlMs: 20 } });
  const reader = leaving.body!.getReader();
  await reader.read();
  await reader.cancel();
  // More than the day has.
  await Promise.all(Array.from({ length: 20 }, () => read({})));

  const total = () => scrape(server().port).then((found) => sumOf(found, "oxbow_requests_total"));
  await eventually(async () => (await total()) >= 27 + 1 + 20, "all calls have ended");
  const found = await scrape(server().port);
  const usage = openUsage(server().home)!;
  try {
    const totals = usage.totals({});
    expect(totals.units).toBe(30);
    expect(sumOf(found, "oxbow_units_total")).toBe(totals.units);
    expect(sumOf(found, "oxbow_tokens_total", { gen_ai_token_type: "input" })).toBe(totals.tokensIn);
    expect(sumOf(found, "oxbow_tokens_total", { gen_ai_token_type: "output" })).toBe(totals.tokensOut);
    const rows = usage.rows({}, { limit: 100 })!.rows;
    for (const outcome of new Set(rows.map((row) => row.outcome!))) {
      const count = rows.filter((row) => row.outcome === outcome).length;
      expect([outcome, sumOf(found, "oxbow_requests_total", { outcome })]).toEqual([outcome, count]);
    }
  } finally {
    usage.close();
  }
  expect(sumOf(found, "oxbow_refusals_total", { rule: "requestsPerDay" })).toBe(
    sumOf(found, "oxbow_requests_total", { code: "insufficient_quota" }),
  );
  expect(sumOf(found, "oxbow_requests_total", { code: "insufficient_quota" })).toBeGreaterThan(0);
  expect(sumOf(found, "oxbow_client_retries_total")).toBe(2);
  expect(sumOf(found, "oxbow_requests_total", { code: "model_not_found", model: "" })).toBe(1);
  expect(sumOf(found, "oxbow_ledger_open")).toBe(0);
  expect(sumOf(found, "oxbow_ledger_commit_seconds_count")).toBeGreaterThan(0);
  expect(sumOf(found, "oxbow_engine_slots_used")).toBe(0);
  expect(sumOf(found, "oxbow_queue_left_total", { how: "admitted" })).toBe(
    sumOf(found, "oxbow_queue_wait_seconds_count"),
  );
  const chats = { gen_ai_operation_name: "chat", gen_ai_request_model: MODEL, error_type: "" };
  expect(sumOf(found, "gen_ai_server_request_duration_seconds_count", chats)).toBe(
    sumOf(found, "oxbow_requests_total", { model: MODEL, code: "" }),
  );
  expect(sumOf(found, "gen_ai_server_time_to_first_token_seconds_count", chats)).toBe(9);
});
