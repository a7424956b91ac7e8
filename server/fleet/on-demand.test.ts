// Engines that are loaded when they are asked for: real worker processes in a pool of memory that does not hold them all.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineEntry } from "../config.ts";
import { createFleet, type Fleet } from "./fleet.ts";
import { isAlive, keptLog, model, placed } from "./test-fleet.ts";
import type { Behaviour } from "./test-worker.ts";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of open.splice(0)) await end();
});

interface Setup {
  lives?: Record<string, Behaviour[]>;
  entry?: Record<string, Partial<EngineEntry>>;
  memoryBytes?: number;
  weightsOf?: (id: string) => string | null;
  loadsFiles?: boolean;
  cores?: number;
}

/** Engines of four bytes each, in ten: two fit. */
function fleetOf(
  ids: string[],
  { lives = {}, entry = {}, memoryBytes = 10, weightsOf, loadsFiles = false, cores = 2 }: Setup = {},
) {
  const folder = mkdtempSync(join(tmpdir(), "demand-"));
  const engines = ids.map((id) => {
    const livesFile = join(folder, id);
    writeFileSync(livesFile, "");
    return {
      id,
      kind: "test",
      models: [{ id }],
      slots: 2,
      weight: 1,
      tags: [],
      pinned: false,
      memoryBytes: 4,
      options: { lives: lives[id] ?? [{}], livesFile },
      ...entry[id],
    };
  });
  const { lines: log, log: kept } = keptLog();
  const worker = join(import.meta.dir, "test-worker.ts");
  const fleet = createFleet({
    engines,
    kinds: { test: { worker, features: [], loadsFiles, simulated: false } },
    models: ids.map((id) => model(id)),
    memoryBytes,
    ...(weightsOf ? { weightsOf } : {}),
    log: kept,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
    loadMsMax: 20_000,
    limits: { residentMsMin: 0 },
    cores,
  });
  open.push(async () => {
    await fleet.stop();
    rmSync(folder, { recursive: true });
  });
  const pidsOf = (id: string) =>
    log.flatMap(({ engine, text, pid }) => (engine === id && text === "worker started" ? [pid as number] : []));
  return { fleet, engines, log, pidsOf };
}

const stateOf = (fleet: Fleet, id: string) => fleet.states().find((status) => status.id === id)!.state;

test("an engine that is not pinned is cold until somebody asks, and the start does not wait for it", async () => {
  const { fleet, pidsOf } = fleetOf(["a", "b"]);
  await fleet.start();
  expect(fleet.ready()).toBe(true);
  expect([stateOf(fleet, "a"), pidsOf("a")]).toEqual(["cold", []]);
  const placement = await placed(fleet, "a");
  expect(stateOf(fleet, "a")).toBe("warm");
  expect(stateOf(fleet, "b")).toBe("cold");
  placement.release();
});

test("the one that was used least lately leaves for the one that is asked for, and comes back when it is asked for", async () => {
  const { fleet, pidsOf } = fleetOf(["a", "b", "c"]);
  await fleet.start();
  for (const id of ["a", "b", "a"]) (await placed(fleet, id)).release();
  (await placed(fleet, "c")).release();
  expect(["a", "b", "c"].map((id) => stateOf(fleet, id))).toEqual(["warm", "cold", "warm"]);
  expect(pidsOf("b").map(isAlive)).toEqual([false]);
  (await placed(fleet, "b")).release();
  expect(["a", "b", "c"].map((id) => stateOf(fleet, id))).toEqual(["cold", "warm", "warm"]);
  expect(pidsOf("b")).toHaveLength(2);
}, 20_000);

test("an engine with calls finishes them before it leaves, and takes no new ones meanwhile", async () => {
  const { fleet, pidsOf } = fleetOf(["a", "b"], { memoryBytes: 5 });
  await fleet.start();
  const running = await placed(fleet, "a");
  const next = placed(fleet, "b");
  expect(stateOf(fleet, "a")).toBe("cold");
  const back = placed(fleet, "a");
  const answer = await running.engine.send("/v1/chat/completions", new Uint8Array(2), {
    signal: new AbortController().signal,
  });
  expect(await answer.json()).toEqual({ pid: pidsOf("a")[0] });
  running.release();
  const other = await next;
  expect(pidsOf("a").map(isAlive)).toEqual([false]);
  other.release();
  // Who asked for it meanwhile gets it in turn.
  (await back).release();
  expect(pidsOf("a")).toHaveLength(2);
}, 20_000);

test("callers of two models that do not fit together are served in turn, all of them", async () => {
  const { fleet } = fleetOf(["a", "b"], { memoryBytes: 5 });
  await fleet.start();
  const calls = Array.from({ length: 8 }, async (_, at) => {
    const placement = await placed(fleet, at % 2 === 0 ? "a" : "b");
    await Bun.sleep(1);
    placement.release();
  });
  await Promise.all(calls);
}, 30_000);

test("a pinned engine is never sent away; what does not fit beside it has failed, and says why", async () => {
  const { fleet } = fleetOf(["p", "a"], { entry: { p: { pinned: true, memoryBytes: 8e9 } }, memoryBytes: 8e9 + 2 });
  await fleet.start();
  await expect(placed(fleet, "a")).rejects.toThrow("of them for pinned models");
  expect(stateOf(fleet, "a")).toBe("failed");
  expect(stateOf(fleet, "p")).toBe("warm");
});

test("an engine without its weights says which command brings them, and loads once they are there", async () => {
  let path: string | null = null;
  const { fleet } = fleetOf(["a"], { weightsOf: () => path, loadsFiles: true, entry: { a: { pinned: true } } });
  await fleet.start();
  expect(fleet.ready()).toBe(false);
  expect(fleet.states()).toMatchObject([{ state: "failed", reason: expect.stringContaining("`oxbow pull a`") }]);
  path = "/tmp/a.gguf";
  fleet.reload("a");
  (await placed(fleet, "a")).release();
  expect(fleet.ready()).toBe(true);
});

test("an engine that dies is back by itself, though nobody asks", async () => {
  const { fleet, pidsOf } = fleetOf(["a"]);
  await fleet.start();
  (await placed(fleet, "a")).release();
  const again = new Promise<void>((resolve) => fleet.onChange(({ state }) => state === "warm" && resolve()));
  process.kill(pidsOf("a")[0]!, "SIGKILL");
  await again;
  expect(pidsOf("a")).toHaveLength(2);
}, 10_000);

test("another entry for a cold engine is simply the next one that is asked for; for one that runs, it takes its place", async () => {
  const { fleet, engines, pidsOf } = fleetOf(["a", "b"]);
  await fleet.start();
  (await placed(fleet, "a")).release();
  const [a, b] = engines.map((entry) => ({ ...entry, slots: 3 }));
  const gone = new Promise<void>((resolve) => {
    const poll = setInterval(() => {
      if (isAlive(pidsOf("a")[0]!)) return;
      clearInterval(poll);
      resolve();
    }, 10);
  });
  fleet.apply({ engines: [a!, b!], kinds: { test: fleetKind() } });
  await gone;
  (await placed(fleet, "a")).release();
  expect(pidsOf("a")).toHaveLength(2);
  expect(pidsOf("b")).toHaveLength(0);
  (await placed(fleet, "b")).release();
  expect(fleet.engines()).toMatchObject([{ slots: 3 }, { slots: 3 }]);
}, 20_000);

test("where memory has no room for an engine and its replacement, the old one finishes and goes first", async () => {
  const { fleet, engines, pidsOf } = fleetOf(["p"], { entry: { p: { pinned: true, memoryBytes: 8 } } });
  await fleet.start();
  const running = await placed(fleet, "p");
  fleet.apply({ engines: engines.map((entry) => ({ ...entry, slots: 3 })), kinds: { test: fleetKind() } });
  const next = placed(fleet, "p");
  expect(pidsOf("p").map(isAlive)).toEqual([true]);
  running.release();
  (await next).release();
  expect(pidsOf("p").map(isAlive)).toEqual([false, true]);
  expect(fleet.engines()).toMatchObject([{ slots: 3, used: 0 }]);
});

test("only engines that can be loaded together share the cores", async () => {
  const { fleet, log } = fleetOf(["a", "b", "c", "d"], { cores: 9 });
  await fleet.start();
  (await placed(fleet, "c")).release();
  // Eight for the workers, two of which fit.
  expect(log.find(({ text }) => text === "worker started")).toMatchObject({ engine: "c", threads: 4 });
});

test("an engine that has failed tries again when the table is read again", async () => {
  const lives = { a: [...Array(5).fill({ exit: 1 }), {}] };
  const { fleet, engines } = fleetOf(["a"], { lives, entry: { a: { pinned: true } } });
  await fleet.start();
  expect(stateOf(fleet, "a")).toBe("failed");
  const warm = new Promise<void>((resolve) => fleet.onChange(({ state }) => state === "warm" && resolve()));
  fleet.apply({ engines, kinds: { test: fleetKind() } });
  await warm;
}, 20_000);

function fleetKind() {
  return { worker: join(import.meta.dir, "test-worker.ts"), features: [], loadsFiles: false, simulated: false };
}
