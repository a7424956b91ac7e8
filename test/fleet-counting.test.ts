// What is counted when several engines serve a model: as much as with one, whatever becomes of them meanwhile.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { openUsage } from "../server/ledger/ledger.ts";
import { adminPlan, dataWith } from "./data.ts";
import { allWarm, eventually, KEY, NOON_MS, type RunningServer, startServer } from "./harness.ts";
import { headerOf, type Message, request, statusOf } from "./http.ts";
import { type Simulator, startSimulator } from "./simulators.ts";

setDefaultTimeout(60_000);

const MODEL = "mistral-7b";
const CALLS = 500;
const LEFT = 60;
const RESET = { fault: { kind: "reset", atByte: 0 } };

let engines: Simulator[];
beforeAll(async () => {
  engines = await Promise.all([1, 2].map(() => startSimulator({ models: [MODEL], options: { dress: "vllm" } })));
});
afterAll(() => Promise.all(engines.map((engine) => engine.stop())));

/** A server of its own, whose first account may call sixty times that day. */
async function withServer(work: (server: RunningServer) => Promise<void>, weights = [1, 1]): Promise<void> {
  const data = dataWith(
    (table) => {
      const entries = engines.map(({ url }, at) => [
        `far-${at}`,
        { kind: "vllm", url, models: [{ id: MODEL }], slots: 128, weight: weights[at] },
      ]);
      table.engines = Object.fromEntries(entries);
    },
    adminPlan({ requestsPerDay: LEFT }),
  );
  const env = { OXBOW_DATA: data.folder, OXBOW_RETRY_PERCENT_MAX: "100" };
  const server = await startServer({ timeOfDayMs: NOON_MS, env });
  try {
    await allWarm(server.port);
    await work(server);
  } finally {
    await Promise.all(engines.map((engine) => engine.simulate({})));
    await server.stop();
    data.remove();
  }
}

async function send(server: RunningServer, fields: object, more: Record<string, string> = {}): Promise<Message> {
  const headers = { authorization: `Bearer ${KEY}`, ...more };
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hello" }], ...fields });
  return (await request(server.port, "POST", "/v1/chat/completions", { headers, body, timeoutMs: 30_000 }))!;
}

/** How often each outcome is in the ledger. */
function outcomes(server: RunningServer): Record<string, number> {
  const usage = openUsage(server.home)!;
  const counts: Record<string, number> = {};
  for (const { outcome } of usage.rows({}, { limit: 10_000 })!.rows) {
    counts[String(outcome)] = (counts[String(outcome)] ?? 0) + 1;
  }
  usage.close();
  return counts;
}

/** Calls that each engine has ended, one way or the other. */
const served = async () =>
  Promise.all(engines.map(async (engine) => (await engine.metrics())["vllm:request_success_total"] ?? 0));

test.each([
  ["both are well", {}],
  ["one cuts every connection", RESET],
])("%s: 500 calls at once against 60 left are 60 answers and 440 refusals", async (_, what) => {
  await withServer(async (server) => {
    await engines[0]!.simulate(what);
    const before = await served();
    const slow = { x_simulate: { ttftMs: 50 } };
    const answers = await Promise.all(Array.from({ length: CALLS }, () => send(server, slow)));
    const statuses = answers.map(statusOf);
    expect([200, 429].map((status) => statuses.filter((each) => each === status).length)).toEqual([LEFT, CALLS - LEFT]);
    expect(outcomes(server)).toEqual({ complete: LEFT });
    const done = (await served()).map((count, at) => count - before[at]!);
    if (what === RESET) expect(done[1]).toBe(LEFT);
    else expect([done[0]! + done[1]!, Math.min(...done) > LEFT / 4]).toEqual([LEFT, true]);
  });
});

test.each([
  ["a whole answer", false],
  ["a stream", true],
])("%s under a key whose engine fails is answered by the other one, counts once, and is kept", async (_, stream) => {
  await withServer(
    async (server) => {
      for (const [turn, what] of [RESET, { fault: { kind: "error", error: "engine_timeout" } }].entries()) {
        await engines[0]!.simulate(what);
        const key = { "idempotency-key": `call ${turn}` };
        const first = await send(server, { stream }, key);
        expect([statusOf(first), headerOf(first, "idempotent-replayed")]).toEqual([200, null]);
        if (stream) expect(first.body.toString()).toEndWith("data: [DONE]\n\n");
        const before = await served();
        const again = await send(server, { stream }, key);
        expect(again.body.equals(first.body)).toBe(true);
        expect([headerOf(again, "idempotent-replayed"), headerOf(again, "x-oxbow-counted")]).toEqual(["true", "0"]);
        expect(await served()).toEqual(before);
        expect(outcomes(server)).toEqual({ complete: turn + 1 });
      }
      await eventually(() => server.logs().split('"retries":1').length === 3, "the log says who was sent twice");
    },
    [1_000, 0.001],
  );
});

test("while a call under a key goes to its second engine, the key is taken; when both fail, it is free", async () => {
  await withServer(
    async (server) => {
      await engines[0]!.simulate(RESET);
      const key = { "idempotency-key": "slow" };
      const slow = { x_simulate: { ttftMs: 1_000 } };
      const first = send(server, slow, key);
      await eventually(async () => (await engines[1]!.metrics())["vllm:num_requests_running"] === 1, "it is there");
      const second = await send(server, slow, key);
      expect([statusOf(second), second.body.toString()]).toEqual([
        409,
        expect.stringContaining("idempotency_in_flight"),
      ]);
      expect(statusOf(await first)).toBe(200);

      await engines[1]!.simulate(RESET);
      const other = { "idempotency-key": "failing" };
      expect(statusOf(await send(server, {}, other))).toBe(502);
      await engines[1]!.simulate({});
      const mended = await send(server, {}, other);
      expect([statusOf(mended), headerOf(mended, "idempotent-replayed")]).toEqual([200, null]);
      expect(outcomes(server)).toEqual({ complete: 2, engine_failed: 1 });
    },
    [1_000, 0.001],
  );
});
