// Several engines behind one model, over real HTTP: one of them dies under load, and comes back.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { dataWith } from "./data.ts";
import { allWarm, eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { startStreams } from "./many-streams.ts";
import { childrenOf } from "./processes.ts";
import { type Simulator, startSimulator } from "./simulators.ts";

setDefaultTimeout(120_000);

const MODEL = "mistral-7b";
const STREAMS = 300;
const SLOTS = 120;
const TOKENS = 40;
const SLOW_START_MS = 6_000;
const AUTH = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };

let engines: Simulator[];
let server: RunningServer;
let removeData: () => void;

beforeAll(async () => {
  engines = await Promise.all(
    ["a", "b", "c"].map(() => startSimulator({ models: [MODEL], slots: SLOTS, options: { dress: "vllm" } })),
  );
  const data = dataWith((table) => {
    table.engines = Object.fromEntries(
      engines.map(({ url }, index) => [`far-${index}`, { kind: "vllm", url, models: [{ id: MODEL }], slots: SLOTS }]),
    );
  });
  removeData = data.remove;
  server = await startServer({ env: { OXBOW_DATA: data.folder, OXBOW_SLOW_START_MS: String(SLOW_START_MS) } });
  await allWarm(server.port);
}, 120_000);
afterAll(async () => {
  await server?.stop();
  await Promise.all(engines.map((engine) => engine.stop()));
  removeData?.();
});

const running = async (engine: Simulator) => (await engine.metrics())["vllm:num_requests_running"]!;

const bodyOf = (seed: number, itlMs: number, tokens = TOKENS) => ({
  model: MODEL,
  messages: [{ role: "user", content: `Tell me of the number ${seed}.` }],
  stream: true,
  seed,
  x_simulate: { tokens, itlMs },
});
const streams = (bodies: object[], repeat = false) =>
  startStreams({ url: `http://127.0.0.1:${server.port}/v1/chat/completions`, headers: AUTH, bodies, repeat });
const bodies = (count: number, itlMs: number) => Array.from({ length: count }, (_, seed) => bodyOf(seed, itlMs));

test("calls with the same prompt_cache_key go to the same engine, on either endpoint", async () => {
  const served = async () =>
    Promise.all(engines.map(async (engine) => (await engine.metrics())["vllm:request_success_total"] ?? 0));
  const send = async (path: string, body: object) => {
    const url = `http://127.0.0.1:${server.port}/v1/${path}`;
    const answer = await fetch(url, { method: "POST", headers: AUTH, body: JSON.stringify({ model: MODEL, ...body }) });
    expect([answer.status, await answer.text()]).toEqual([200, expect.any(String)]);
  };
  for (const key of ["one", "two", "three"]) {
    const before = await served();
    for (let turn = 0; turn < 4; turn++) {
      const more = { prompt_cache_key: key };
      await send("chat/completions", { messages: [{ role: "user", content: `Turn ${turn}` }], max_tokens: 4, ...more });
      await send("responses", { input: `Turn ${turn}`, max_output_tokens: 16, ...more });
    }
    const after = await served();
    expect(after.map((count, at) => count - before[at]!).sort()).toEqual([0, 0, 8]);
  }
});

test("one of three engines is killed under 300 streams: its own streams fail, all others are as if nothing had happened", async () => {
  const undisturbed = await streams(bodies(STREAMS, 0)).seen;
  for (const each of undisturbed) {
    expect([each.status, each.error, each.done, each.texts.length]).toEqual([200, null, true, TOKENS]);
  }
  const disturbed = streams(bodies(STREAMS, 200));
  await disturbed.begun;
  const loads = await Promise.all(engines.map(running));
  expect(loads.reduce((sum, each) => sum + each, 0)).toBe(STREAMS);
  expect(Math.max(...loads)).toBeLessThanOrEqual(Math.ceil((STREAMS / 3) * 1.25));
  await engines[1]!.kill();

  // Whoever comes now sees nothing of it.
  const after = await streams(bodies(60, 0)).seen;
  for (const [seed, each] of after.entries()) expect(each).toEqual(undisturbed[seed]!);

  const seen = await disturbed.seen;
  const failed = seen.filter(({ error }) => error !== null);
  expect(failed).toHaveLength(loads[1]!);
  for (const [seed, each] of seen.entries()) {
    const whole = undisturbed[seed]!;
    if (each.error === null) {
      expect(each).toEqual(whole);
    } else {
      expect(each).toMatchObject({ status: 200, done: false, error: { code: "engine_interrupted" } });
      expect(each.texts).toEqual(whole.texts.slice(0, each.texts.length));
    }
  }
});

test("it comes back by itself, and those who wait do not all fall on it", async () => {
  engines[1] = await startSimulator({
    models: [MODEL],
    slots: SLOTS,
    options: { dress: "vllm" },
    port: engines[1]!.port,
  });
  const back = engines[1]!;
  // As many as the others can take, and more who wait in line for whatever becomes free.
  const load = streams(bodies(2 * SLOTS + 60, 25), true);
  await eventually(async () => (await running(back)) > 0, "the engine has calls again", 30_000);
  const from = performance.now();
  const seen: { part: number; running: number }[] = [];
  while (performance.now() - from < SLOW_START_MS + 1_000) {
    const now = await running(back);
    seen.push({ part: (performance.now() - from) / SLOW_START_MS, running: now });
    await Bun.sleep(100);
  }
  load.end();
  for (const each of await load.seen) expect([each.status, each.error]).toEqual([200, null]);
  // The clock of the test starts up to a second after the server's.
  for (const { part, running } of seen)
    expect(running).toBeLessThanOrEqual(Math.max(0.1, Math.min(1, part + 0.2)) * SLOTS + 1);
  expect(seen[0]!.running).toBeLessThanOrEqual(0.35 * SLOTS);
  expect(Math.max(...seen.slice(-5).map(({ running }) => running))).toBeGreaterThan(0.5 * SLOTS);
});

test("an engine that hangs with its connections open is noticed, and who waited for it is answered by the other one", async () => {
  const pair = await Promise.all([1, 2].map(() => startSimulator({ models: [MODEL], options: { dress: "vllm" } })));
  const data = dataWith((table) => {
    const engines = pair.map(({ url }, index) => [
      `e${index}`,
      { kind: "vllm", url, models: [{ id: MODEL }], slots: 64 },
    ]);
    table.engines = Object.fromEntries(engines);
  });
  const here = await startServer({ env: { OXBOW_DATA: data.folder, OXBOW_LOOK_MS: "200" } });
  try {
    process.kill(pair[0]!.pid, "SIGSTOP");
    // Half of them go there: more than may be sent a second time at once.
    const answers = Array.from({ length: 60 }, async (_, seed) => {
      const body = JSON.stringify({ ...bodyOf(seed, 0, 4), stream: seed % 2 === 0 });
      const url = `http://127.0.0.1:${here.port}/v1/chat/completions`;
      const answer = await fetch(url, { method: "POST", headers: AUTH, body });
      return [answer.status, (await answer.text()).includes('"finish_reason":"stop"')];
    });
    expect(await Promise.all(answers)).toEqual(answers.map(() => [200, true]));
    expect(here.logs()).toMatch(/"msg":"engine (ejected|gone)"/);
    await eventually(() => here.logs().includes('"retries":1'), "the log says who was sent a second time");
  } finally {
    process.kill(pair[0]!.pid, "SIGCONT");
    await here.stop();
    await Promise.all(pair.map((engine) => engine.stop()));
    data.remove();
  }
});

test("of two workers on this machine one dies: calls that come at that moment go to the other at once", async () => {
  const engine = { kind: "simulator", models: [{ id: MODEL }], slots: 64, threads: 1 };
  const data = dataWith((table) => {
    table.engines = { one: { ...engine }, two: { ...engine } };
  });
  const here = await startServer({ env: { OXBOW_DATA: data.folder } });
  try {
    const workers = childrenOf(here.pid).filter(({ command }) => command.includes("workers/simulator"));
    expect(workers).toHaveLength(2);
    for (const { pid } of workers) {
      process.kill(pid, "SIGKILL");
      // The one that answers may be the one that was killed before: it is back by then.
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, seed) => {
          const from = performance.now();
          const answer = await fetch(`http://127.0.0.1:${here.port}/v1/chat/completions`, {
            method: "POST",
            headers: AUTH,
            body: JSON.stringify({ ...bodyOf(seed, 0), stream: false }),
          });
          await answer.text();
          return { status: answer.status, ms: performance.now() - from };
        }),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      await allWarm(here.port);
    }
    expect(here.logs()).toContain('"msg":"worker ended"');
  } finally {
    await here.stop();
    data.remove();
  }
});
