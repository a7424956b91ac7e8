// Two servers elsewhere that share one accelerator, and can sleep: the simulator, dressed as one that can.

import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type EngineEntry, loadConfig } from "../config.ts";
import { createFleet } from "./fleet.ts";
import { keptLog, model, placed } from "./test-fleet.ts";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of open.splice(0).reverse()) await end();
});

const SIMULATOR = join(import.meta.dir, "../../workers/simulator/main.ts");
const never = new AbortController().signal;

/** @returns its address */
async function simulator(id: string): Promise<string> {
  const config = {
    socket: "",
    models: [{ id, aliases: [], category: "chat", capabilities: [], contextTokens: 4096 }],
    slots: 4,
    threads: 1,
    options: { port: 0, dress: "vllm", itlMs: 5 },
  };
  const child = Bun.spawn([process.execPath, SIMULATOR, JSON.stringify(config)], { stdin: "pipe", stderr: "pipe" });
  open.push(() => child.kill("SIGKILL"));
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  for (;;) {
    said += (await reader.read()).value ?? "";
    const url = /listening on (\S+)/.exec(said)?.[1];
    if (url !== undefined) return url;
  }
}

const isAsleep = async (url: string): Promise<boolean> => {
  const answer = (await (await fetch(`${url}/is_sleeping`)).json()) as { is_sleeping: boolean };
  return answer.is_sleeping;
};

async function fleetOf(urls: Record<string, string>, more: Partial<EngineEntry> = {}) {
  const { kinds } = loadConfig({ env: {} });
  const { lines: log, log: kept } = keptLog();
  const fleet = createFleet({
    engines: Object.entries(urls).map(([id, url]) => ({
      id,
      kind: "vllm",
      url: `${url}/v1`,
      models: [{ id }],
      slots: 4,
      weight: 1,
      tags: [],
      pinned: false,
      pool: "gpu",
      options: {},
      ...more,
    })),
    kinds,
    pools: { gpu: { bytes: 10 } },
    models: Object.keys(urls).map((id) => model(id)),
    log: kept,
    env: {},
    loadMsMax: 20_000,
    limits: { residentMsMin: 0 },
  });
  open.push(() => fleet.stop());
  await fleet.start();
  return { fleet, log };
}

const call = (content: string, stream: boolean) =>
  new TextEncoder().encode(
    JSON.stringify({ model: "a", messages: [{ role: "user", content }], stream, max_tokens: 100 }),
  );

test("one is awake at a time: the other is woken when it is asked for, and the first put to sleep", async () => {
  const urls = { a: await simulator("a"), b: await simulator("b") };
  await fetch(`${urls.b}/sleep?level=1`, { method: "POST" });
  const { fleet } = await fleetOf(urls);
  (await placed(fleet, "a")).release();
  expect([await isAsleep(urls.a), await isAsleep(urls.b)]).toEqual([false, true]);
  const placement = await placed(fleet, "b");
  expect([await isAsleep(urls.a), await isAsleep(urls.b)]).toEqual([true, false]);
  const answer = await placement.engine.call("/v1/chat/completions", call("hi", false), { signal: never, model: "b" });
  expect(answer.kind).toBe("whole");
  placement.release();
  (await placed(fleet, "a")).release();
  expect([await isAsleep(urls.a), await isAsleep(urls.b)]).toEqual([false, true]);
}, 20_000);

test("a stream that runs is finished before its server is put to sleep", async () => {
  const urls = { a: await simulator("a"), b: await simulator("b") };
  await fetch(`${urls.b}/sleep?level=1`, { method: "POST" });
  const { fleet } = await fleetOf(urls);
  const running = await placed(fleet, "a");
  const answer = await running.engine.send("/v1/chat/completions", call("Tell me a long story.", true), {
    signal: never,
  });
  const next = placed(fleet, "b");
  const text = await answer.text();
  expect(text).toContain("data: [DONE]");
  expect(await isAsleep(urls.a)).toBe(false);
  running.release();
  (await next).release();
  expect(await isAsleep(urls.a)).toBe(true);
}, 20_000);

test("a pinned server that is asleep when the gateway starts is woken, and the start waits for it", async () => {
  const url = await simulator("a");
  await fetch(`${url}/sleep?level=1`, { method: "POST" });
  const { fleet } = await fleetOf({ a: url }, { pinned: true });
  expect(fleet.ready()).toBe(true);
  expect(await isAsleep(url)).toBe(false);
  fleet.place("a")!.release();
}, 20_000);
