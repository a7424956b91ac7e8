// Birth and death: of the server, of its workers, and what becomes of the calls that are running then.

import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import OpenAI, { APIError } from "openai";
import { openUsage } from "../server/ledger/ledger.ts";
import { dataWith } from "./data.ts";
import {
  collect,
  end,
  eventually,
  freePort,
  KEY,
  newHome,
  type RunningServer,
  type StartOptions,
  spawnServer,
  startServer,
} from "./harness.ts";
import { childrenOf, isAlive } from "./processes.ts";
import { HELLO, MODEL } from "./suite.ts";

setDefaultTimeout(60_000);

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function start(options: StartOptions = {}): Promise<RunningServer> {
  const server = await startServer(options);
  cleanUp.push(server.stop);
  return server;
}

function home(): string {
  const folder = newHome();
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server that is expected to end by itself, and returns what it said. */
async function failingStart(
  options: StartOptions & { home: string; port: number },
): Promise<{ said: string; code: number }> {
  const child = spawnServer(options.home, options.port, options);
  cleanUp.push(() => end(child));
  const logs = collect(child);
  const code = await child.exited;
  await Bun.sleep(0);
  return { said: logs().trim(), code };
}

const clientOf = (server: RunningServer) => new OpenAI({ baseURL: server.baseUrl, apiKey: KEY, maxRetries: 0 });
const workersOf = (server: RunningServer) =>
  childrenOf(server.pid).filter(({ command }) => command.includes("workers/"));
const llamaOf = (server: RunningServer) => workersOf(server).find(({ command }) => command.includes("workers/llama"));

/** Keeps the built-in model, which is brief, at it for seconds: its text may not end before it is long. */
const LONG = {
  type: "json_schema" as const,
  json_schema: {
    name: "long",
    schema: {
      type: "object",
      properties: { text: { type: "string", minLength: 8_000, maxLength: 9_000 } },
      required: ["text"],
      additionalProperties: false,
    },
  },
};

test("a worker killed under sixteen streams: each of them hears of it, and the next call works", async () => {
  const data = dataWith(({ engines }) => {
    engines.tiny!.slots = 16;
  });
  cleanUp.push(data.remove);
  const server = await start({ env: { OXBOW_DATA: data.folder } });
  const client = clientOf(server);
  const streams = await Promise.all(
    Array.from({ length: 16 }, (_, seed) =>
      client.chat.completions.create({ model: "tiny", messages: HELLO, stream: true, seed, response_format: LONG }),
    ),
  );
  const readers = streams.map((stream) => stream[Symbol.asyncIterator]());
  await Promise.all(readers.map((reader) => reader.next()));
  const worker = llamaOf(server)!;
  process.kill(worker.pid, "SIGKILL");

  const outcomes = await Promise.all(
    readers.map(async (reader) => {
      try {
        while (!(await reader.next()).done);
        return "ended as if nothing had happened";
      } catch (error) {
        return error instanceof APIError ? error.code : String(error);
      }
    }),
  );
  expect(outcomes).toEqual(outcomes.map(() => "engine_interrupted"));
  expect((await fetch(`http://127.0.0.1:${server.port}/health`)).status).toBe(200);

  // The call waits in line until the worker is back: its caller notices nothing but the time.
  const next = await client.chat.completions.create({ model: "tiny", messages: HELLO, max_completion_tokens: 4 });
  expect(next.usage!.completion_tokens).toBeGreaterThan(0);
  expect(llamaOf(server)!.pid).not.toBe(worker.pid);
  expect(server.process.exitCode).toBeNull();
  server.assertTraffic();
});

test("a server that is killed leaves no worker behind", async () => {
  const server = await start({ simulate: true });
  const workers = workersOf(server);
  expect(workers.length).toBe(2);
  process.kill(server.pid, "SIGKILL");
  await eventually(() => workers.every(({ pid }) => !isAlive(pid)), "all workers have ended");
});

test("a home whose server was killed can be used again at once", async () => {
  const folder = home();
  const first = await start({ home: folder });
  process.kill(first.pid, "SIGKILL");
  await first.exited;
  const second = await start({ home: folder });
  const models = await Array.fromAsync(clientOf(second).models.list());
  expect(models.map((model) => model.id)).toContain("tiny");
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s: what runs may finish, nothing new is taken, and all processes end",
  async (signal) => {
    const server = await start({ simulate: true });
    const workers = workersOf(server);
    const unhurried = { x_simulate: { tokens: 20, itlMs: 50 } };
    const body = { model: MODEL, messages: HELLO, stream: true as const, ...unhurried };
    const stream = (await clientOf(server).chat.completions.create(body))[Symbol.asyncIterator]();
    await stream.next();
    server.process.kill(signal);
    await Bun.sleep(200);
    const refused = await fetch(`http://127.0.0.1:${server.port}/v1/models`, {
      headers: { authorization: `Bearer ${KEY}` },
      keepalive: false,
    }).catch(() => null);
    expect(refused?.status ?? 503).toBe(503);
    let last: unknown;
    for (let step = await stream.next(); !step.done; step = await stream.next())
      last = step.value.choices[0]?.finish_reason;
    expect(last).toBe("stop");
    expect(await server.exited).toBe(0);
    expect(workers.some(({ pid }) => isAlive(pid))).toBe(false);
  },
);

test("who is cut off when the time to end is over is told so, whole or streamed", async () => {
  const server = await start({ simulate: true, env: { OXBOW_DRAIN_MS_MAX: "300" } });
  const send = (fields: object) =>
    fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
    });
  const streamed = await send({ stream: true, x_simulate: { tokens: 5_000, itlMs: 50 } });
  const whole = send({ x_simulate: { tokens: 5_000, itlMs: 50 } });
  const silent = send({ stream: true, x_simulate: { ttftMs: 60_000 } });
  await eventually(async () => (await inFlight(server)) === 3, "all three run");
  server.process.kill("SIGTERM");
  const text = await streamed.text();
  expect(text).toContain('"finish_reason":null');
  expect(text).toContain('"code":"shutting_down"');
  expect(text).not.toContain("[DONE]");
  for (const each of [await whole, await silent]) {
    expect([each.status, each.headers.get("retry-after-ms"), each.headers.get("x-oxbow-counted")]).toEqual([
      503,
      expect.stringMatching(/^\d+$/),
      "0",
    ]);
    expect(await each.json()).toMatchObject({ error: { code: "shutting_down" } });
  }
  expect(await server.exited).toBe(0);
  const usage = openUsage(server.home)!;
  const outcomes = usage.rows({}, { limit: 10 })!.rows.map((row) => row.outcome as string);
  usage.close();
  expect(outcomes.sort()).toEqual(["interrupted", "refused", "refused"]);
});

async function inFlight({ port }: RunningServer): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/usage`, { headers: { authorization: `Bearer ${KEY}` } });
  return ((await answer.json()) as { today: { in_flight: number } }).today.in_flight;
}

test("a second start on the same home refuses in one line", async () => {
  const folder = home();
  await start({ home: folder });
  const { said, code } = await failingStart({ home: folder, port: await freePort() });
  expect(code).toBeGreaterThan(0);
  expect(said.split("\n")).toHaveLength(1);
  expect(said).toContain(folder);
});

test("a port that is taken is said in one line, with what to do", async () => {
  const server = await start();
  const { said, code } = await failingStart({ home: home(), port: server.port });
  expect(code).toBeGreaterThan(0);
  expect(said.split("\n")).toHaveLength(1);
  expect(said).toContain(String(server.port));
  expect(said).toMatch(/PORT|--port/);
});

test("the first call to the built-in model works without a network and without a download", async () => {
  const server = await start();
  const answer = await clientOf(server).chat.completions.create({
    model: "tiny",
    messages: HELLO,
    max_completion_tokens: 8,
  });
  expect(answer.model).toBe("tiny");
  expect(answer.system_fingerprint ?? "").not.toContain("simulated");
  expect((await clientOf(server).models.list()).data.map((model) => model.id)).toEqual(["tiny"]);
  server.assertTraffic();
});
