// GET /v1/usage as a client sees it: on a real ledger and real accounts, without a port.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ErrorBody, newId, type UsageList, type UsageObject } from "@oxbow/contract";
import { createAccounts } from "../../accounts/accounts.ts";
import { loadConfig } from "../../config.ts";
import { type Ledger, openLedger } from "../../ledger/ledger.ts";
import { openStore } from "../../store/store.ts";
import { createGateway, type GatewayOptions } from "../gateway.ts";

const DAY = "2026-11-21";
const NOW = Date.parse(`${DAY}T12:00:00Z`);
const KEY = "sk-a-key-of-the-operators-own-choosing";
const DONE = { outcome: "complete", tokensIn: 10, tokensOut: 5, waitedMs: 1, firstTokenMs: 2, durationMs: 3 } as const;

const LIMITS = {
  requestsPerDay: 50,
  requestsPerMinute: null,
  inputTokensMax: 2048,
  outputTokensMax: null,
  audioSecondsMax: 600,
  imagePixelsMax: 4_194_304,
  speechCharactersMax: 1000,
  concurrencyMax: 1,
};

let ledger: Ledger;
let gateway: ReturnType<typeof createGateway>;
let ids: string[];
const cleanUp: (() => unknown)[] = [];

beforeAll(async () => {
  const home = mkdtempSync(join(tmpdir(), "oxbow-usage-"));
  const now = () => NOW;
  const store = await openStore(home);
  const accounts = await createAccounts(store, { home, now, catalogue: () => loadConfig({ env: {} }) });
  await accounts.bootstrap({ plan: { id: "free", version: 2026 }, bootstrapKey: KEY });
  const caller = accounts.identify(new Headers({ authorization: `Bearer ${KEY}` }));
  ledger = await openLedger({ home, now });
  const rooms = {
    observe: () => {},
    traces: { begin: () => null },
    traffic: { sideOf: () => null, begun: () => null },
    accounts,
    admission: {
      headers: () => ({}),
      state: () => ({ requestsPerDay: { limit: 50, remaining: 44 }, unitsInFlight: 2 }),
      limitsOf: () => LIMITS,
    } as unknown as GatewayOptions["admission"],
    ledger,
    usage: ledger.usage,
    models: [],
    memoryBytes: 0,
    limits: {} as GatewayOptions["limits"],
    log: console,
  } satisfies Partial<GatewayOptions>;
  gateway = createGateway(rooms as unknown as GatewayOptions);
  cleanUp.push(
    () => rmSync(home, { recursive: true }),
    () => store.close(),
    () => accounts.close(),
    () => ledger.close(),
    () => gateway.stop(),
  );

  ids = await Promise.all(
    Array.from({ length: 7 }, async (_, index) => {
      const requestId = newId("req_");
      const accountId = index === 6 ? "of-someone-else" : caller.accountId;
      const names = { accountId, keyId: caller.keyId, plan: "free@2026", model: index % 2 ? "a" : "b" };
      const day = index < 2 ? "2026-11-20" : DAY;
      ledger.reserve({ requestId, ...names, endpoint: "/v1/completions", day, units: 1, at: NOW });
      if (index === 5) ledger.void(requestId, "engine_failed");
      else await ledger.settle(requestId, DONE);
      return requestId;
    }),
  );
  await ledger.flush();
});
afterAll(async () => {
  for (const step of cleanUp.toReversed()) await step();
});

async function get(query: string, key = KEY): Promise<{ status: number; body: UsageList & ErrorBody }> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await gateway.handle(new Request(`http://x/v1/usage${query}`, { headers }), () => {});
  return { status: response.status, body: (await response.json()) as UsageList & ErrorBody };
}

test("the caller's own requests, newest first, by pages without gaps", async () => {
  const seen: UsageObject[] = [];
  for (let query = "?limit=2"; ; ) {
    const { status, body } = await get(query);
    expect(status).toBe(200);
    const data = body.data as UsageObject[];
    expect([body.first_id, body.last_id]).toEqual([data[0]!.id, data.at(-1)!.id]);
    seen.push(...data);
    if (!body.has_more) break;
    query = `?limit=2&after=${body.last_id}`;
  }
  expect(seen.map(({ id }) => id).sort()).toEqual(ids.slice(0, 6).sort());
  expect(seen.map(({ day }) => day)).toEqual([DAY, DAY, DAY, DAY, "2026-11-20", "2026-11-20"]);
  expect(seen.find(({ id }) => id === ids[5])).toMatchObject({ units: 0, outcome: "engine_failed", prompt_tokens: 0 });
  expect(seen.find(({ id }) => id === ids[0])).toMatchObject({
    object: "usage",
    created_at: NOW / 1000,
    model: "b",
    plan: "free@2026",
    units: 1,
    outcome: "complete",
    prompt_tokens: 10,
    completion_tokens: 5,
    first_token_ms: 2,
  });
});

test("what holds for the account comes with every answer", async () => {
  for (const query of ["", "?group=day"]) {
    expect((await get(query)).body.limits).toEqual({
      plan: "free@2026",
      requests_per_day: 50,
      requests_per_minute: null,
      input_tokens_max: 2048,
      output_tokens_max: null,
      audio_seconds_max: 600,
      image_pixels_max: 4_194_304,
      speech_characters_max: 1000,
      concurrency_max: 1,
    });
  }
});

test("today's quota comes with every answer, narrowed or not", async () => {
  const { body } = await get(`?day=2026-11-20&model=a`);
  expect(body.data).toHaveLength(1);
  expect(body.today).toEqual({
    day: DAY,
    used: 3,
    in_flight: 2,
    limit: 50,
    remaining: 44,
    resets_at: NOW / 1000 + 12 * 3600,
  });
  expect((await get("?model=none")).body).toMatchObject({ data: [], first_id: null, last_id: null, has_more: false });
  expect((await get("?key=none")).body.data).toEqual([]);
});

test("sums by day, model and key", async () => {
  expect((await get("?group=day")).body.data).toEqual([
    { id: "2026-11-20", object: "usage.sum", requests: 2, units: 2, prompt_tokens: 20, completion_tokens: 10 },
    { id: DAY, object: "usage.sum", requests: 3, units: 3, prompt_tokens: 30, completion_tokens: 15 },
  ]);
  const models = (await get(`?group=model&day=${DAY}`)).body.data;
  expect(models).toMatchObject([
    { id: "b", units: 2 },
    { id: "a", units: 1 },
  ]);
  expect((await get("?group=key")).body.data).toMatchObject([{ units: 5 }]);
});

test.each([
  ["?limit=0", "limit"],
  ["?limit=1001", "limit"],
  ["?limit=x", "limit"],
  ["?day=2026-02-30", "day"],
  ["?group=account", "group"],
  ["?after=req_nobody", "after"],
])("%s is refused by the name of what is wrong", async (query, param) => {
  const { status, body } = await get(query);
  expect([status, body.error.param, body.error.code]).toEqual([400, param, "invalid_value"]);
});

test("another account's request is no cursor, and no key is no caller", async () => {
  expect((await get(`?after=${ids[6]}`)).status).toBe(400);
  expect((await get("", "sk-unknown-unknown-unknown")).status).toBe(401);
});
