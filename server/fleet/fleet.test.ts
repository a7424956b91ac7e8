import { afterEach, expect, test } from "bun:test";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import { createFleet, type ModelStatus, type Placement } from "./fleet.ts";
import { isAlive, model, testFleet } from "./test-fleet.ts";
import type { Behaviour } from "./test-worker.ts";
import { realClock } from "./worker.ts";

const open: { end(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.end();
});
const fleetOf = (...args: Parameters<typeof testFleet>) => {
  const made = testFleet(...args);
  open.push(made);
  return made;
};
const never = new AbortController().signal;
const refusal = (action: () => unknown): ApiError => {
  try {
    action();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("was not refused");
};

test("a pinned model is loading with its progress, then warm, and only then has the start ended", async () => {
  const { fleet, states } = fleetOf([{ polls: 4 }]);
  expect(fleet.states()).toMatchObject([{ id: "m", state: "cold", engine: "e", simulated: false }]);
  expect(fleet.ready()).toBe(false);
  await fleet.start();
  expect(fleet.ready()).toBe(true);
  expect(states.map(({ state, progress }) => [state, progress])).toEqual([
    ["loading", 0],
    ["loading", 0.25],
    ["loading", 0.5],
    ["loading", 0.75],
    ["warm", undefined],
  ]);
});

test("what serves a model is known before it is warm, and it answers through its socket once it is", async () => {
  const { fleet, pids } = fleetOf([{}]);
  expect([...fleet.serves("m")!.features]).toEqual(["seed"]);
  expect(fleet.serves("other")).toBeNull();
  await fleet.start();
  const answer = await fleet.place("m")!.engine.send("/v1/chat/completions", new Uint8Array(2), { signal: never });
  expect(await answer.json()).toEqual({ pid: pids()[0] });
});

test("a call before the model is warm is told when to come back", async () => {
  const { fleet } = fleetOf([{ polls: 1e9 }]);
  void fleet.start();
  const error = refusal(() => fleet.place("m"));
  expect(error.row).toBe("model_not_ready");
  expect(error.retryAfterMs).toBeWithin(500, 30_001);
});

test("slots are given out up to their number, and each comes back once", async () => {
  const { fleet } = fleetOf([{}], { slots: 2 });
  const freed: string[] = [];
  fleet.onFree((id) => freed.push(id));
  await fleet.start();
  expect(freed).toEqual(["m"]);
  const [a, b] = [fleet.place("m")!, fleet.place("m")!];
  expect(fleet.place("m")).toBeNull();
  a.release();
  a.release();
  expect(freed).toEqual(["m", "m"]);
  expect(fleet.place("m")).not.toBeNull();
  expect(fleet.place("m")).toBeNull();
  b.release();
});

test("a worker that is killed is started again, and calls go to the new one", async () => {
  const { fleet, states, pids, until, log } = fleetOf([{ words: "about to die" }, { polls: 2 }], { slots: 1 });
  await fleet.start();
  const held = fleet.place("m")!;
  const warm = until(({ state }) => state === "warm");
  const loading = until(({ state }) => state === "loading");
  process.kill(pids()[0]!, "SIGKILL");
  expect((await loading).reason).toContain("SIGKILL");
  expect(refusal(() => fleet.place("m")).row).toBe("model_not_ready");
  await warm;
  expect(fleet.place("m")).toBeNull(); // its slot is still held by the call that has not noticed yet
  held.release();
  held.release();
  const placed = fleet.place("m")!;
  const answer = await placed.engine.send("/v1/chat/completions", new Uint8Array(2), { signal: never });
  expect(await answer.json()).toEqual({ pid: pids()[1] });
  expect(states.at(-1)).toMatchObject({ state: "warm" });
  expect(states.at(-1)!.reason).toBeUndefined();
  expect(log.find(({ text }) => text === "worker ended")!.lastWords).toEqual(["about to die"]);
}, 10_000);

test("a call that is on its way when the worker dies fails as unreachable, not for ever", async () => {
  const { fleet, pids, until } = fleetOf([{}]);
  await fleet.start();
  const { engine } = fleet.place("m")!;
  const loading = until(({ state }) => state === "loading");
  process.kill(pids()[0]!, "SIGKILL");
  await loading;
  const error = await engine
    .send("/v1/chat/completions", new Uint8Array(2), { signal: never })
    .catch((thrown) => thrown);
  expect(error.name).toBe("EngineUnreachable");
  expect(error.cause).toBeInstanceOf(Error);
});

test("a model that cannot be loaded has failed with its reason, and is not tried again until told to", async () => {
  const { fleet, pids, log, until } = fleetOf([{ exit: 65, words: "noise\nfatal: no such file" }, {}]);
  const freed: string[] = [];
  fleet.onFree((id) => freed.push(id));
  await fleet.start();
  expect(fleet.states()).toMatchObject([{ state: "failed", reason: "no such file" }]);
  expect(freed).toEqual(["m"]); // so that who waits in line hears it
  const error = refusal(() => fleet.place("m"));
  expect(error.row).toBe("model_failed");
  expect(error.message).toContain("no such file");
  expect(log.find(({ restartInMs }) => restartInMs !== undefined)).toBeUndefined();
  expect(pids()).toHaveLength(1);
  const warm = until(({ state }) => state === "warm");
  fleet.reload("e");
  await warm;
  expect(pids()).toHaveLength(2);
});

test("a worker that was warm and crashes in a loop is started with growing pauses, and never given up", async () => {
  const lives = [{}, ...Array(9).fill({ exit: 1, words: "boom" }), {}];
  const { fleet, sleeps, log, pids, until } = fleetOf(lives, { random: () => 1 });
  await fleet.start();
  const again = until(({ state }) => state === "warm");
  process.kill(pids()[0]!, "SIGKILL");
  await again;
  expect(fleet.ready()).toBe(true);
  const pauses = log.filter(({ text }) => text === "worker ended").map(({ restartInMs }) => restartInMs);
  expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  for (const pause of pauses) expect(sleeps).toContain(pause as number);
}, 20_000);

test("a worker that never got warm is given up after five tries, with its last words, until told to try again", async () => {
  const { fleet, log, pids, until } = fleetOf([...Array(5).fill({ exit: 1, words: "no such device" }), {}]);
  await fleet.start();
  expect(fleet.states()).toMatchObject([
    {
      state: "failed",
      reason:
        "It ended 5 times before it was ever warm. Its process ended (exit code 1). Its last words: no such device",
    },
  ]);
  expect(pids()).toHaveLength(5);
  expect(log.at(-1)).toMatchObject({ text: "worker failed for good", lastWords: ["no such device"] });
  const warm = until(({ state }) => state === "warm");
  fleet.reload("e");
  await warm;
});

test("a worker whose numbers are none is not warm, though it answers", async () => {
  const nan = { answer: { choices: [{ logprobs: { content: [{ token: "x", logprob: null }] } }] } };
  const { fleet, states, log } = fleetOf([nan, {}]);
  await fleet.start();
  expect(states.filter(({ state }) => state === "warm")).toHaveLength(1);
  expect(log.find(({ text }) => text === "worker ended")).toMatchObject({
    reason: "The model m reckons with numbers that are none (NaN): its weights are damaged.",
  });
});

test("a loaded worker that does not answer its first request is not warm", async () => {
  const { fleet, states, log } = fleetOf([{ status: 500 }, { dieOnCall: true }, {}]);
  await fleet.start();
  expect(states.filter(({ state }) => state === "warm")).toHaveLength(1);
  const ends = log.filter(({ text }) => text === "worker ended").map(({ reason }) => reason);
  expect(ends[0]).toBe("The model m answered its first request with status 500.");
  expect(ends[1]).toMatch(/exit code 1|did not answer/);
}, 10_000);

test("a worker that does not get warm in time is killed and started again", async () => {
  const { fleet, log } = fleetOf([{ mute: true }, { polls: 1e9 }, {}], { loadMsMax: 1_500 });
  await fleet.start();
  const ends = log.filter(({ text }) => text === "worker ended").map(({ reason }) => reason);
  expect(ends).toEqual(["It was not ready within 1.5 s.", "It was not ready within 1.5 s."]);
}, 20_000);

test("the end kills a worker that does not go when asked, and leaves no socket", async () => {
  const { fleet, pids, folder } = fleetOf([{ ignoreSigterm: true }], { stopMsMax: 50 });
  await fleet.start();
  const sockets = () => readdirSync(folder).filter((name) => name.startsWith("oxbow-"));
  expect(sockets()).toHaveLength(1);
  expect(statSync(join(folder, sockets()[0]!)).mode & 0o777).toBe(0o700);
  expect(isAlive(pids()[0]!)).toBe(true);
  await fleet.stop();
  expect(isAlive(pids()[0]!)).toBe(false);
  expect(sockets()).toEqual([]);
});

test("the end comes too while a worker loads, waits for its restart, or has failed", async () => {
  const reached: [Behaviour, (status: ModelStatus) => boolean][] = [
    [{ mute: true }, ({ state }) => state === "loading"],
    [{ exit: 1 }, ({ reason }) => reason === "Its process ended (exit code 1)."],
    [{ exit: 65 }, ({ state }) => state === "failed"],
  ];
  for (const [life, test] of reached) {
    const { fleet, log, until, end } = testFleet([life], { clock: realClock });
    const there = until(test);
    const started = fleet.start();
    await there;
    await end();
    await started; // nobody waits any longer
    expect(fleet.states()[0]!.state).toBe("cold");
    expect(log.filter(({ text }) => text === "worker started")).toHaveLength(1);
  }
});

test("a worker gets no secrets of ours, and what it needs", async () => {
  const env = { ...process.env, OXBOW_BOOTSTRAP_KEY: "k", DATABASE_URL: "p", BUN_AUTH_TOKEN: "t", BUN_CONFIG_X: "1" };
  const { fleet, environment } = fleetOf([{}], { env });
  await fleet.start();
  expect(environment()).toContain("PATH");
  expect(environment()).toContain("BUN_CONFIG_X");
  for (const name of ["OXBOW_BOOTSTRAP_KEY", "DATABASE_URL", "BUN_AUTH_TOKEN"]) {
    expect(environment()).not.toContain(name);
  }
});

test("models of one engine get its slots in turn", async () => {
  const { fleet } = fleetOf([{}], { slots: 1, models: [model("a"), model("b"), model("c")] });
  await fleet.start();
  const waiting = new Set(["a", "b", "c"]);
  const order: string[] = [];
  let held: Placement | null = fleet.place("b");
  fleet.onFree((id) => {
    if (!waiting.has(id)) return;
    held = fleet.place(id) ?? held;
    order.push(id);
  });
  for (let turn = 0; turn < 6; turn++) held!.release();
  expect(order).toEqual(["c", "a", "b", "c", "a", "b"]);
});

test("whatever is taken, given back and killed in whatever order, no slot is lost and none is given twice", async () => {
  const slots = 3;
  const { fleet, pids, until } = fleetOf([{}], { slots });
  await fleet.start();
  const step = fc.oneof(
    { weight: 10, arbitrary: fc.constant("place" as const) },
    { weight: 10, arbitrary: fc.nat(9) },
    { weight: 1, arbitrary: fc.constant("crash" as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const all: { placement: Placement; released: boolean }[] = [];
      const held = () => all.filter(({ released }) => !released).length;
      for (const what of steps) {
        if (what === "crash" && fleet.ready()) {
          const loading = until(({ state }) => state === "loading");
          process.kill(pids().at(-1)!, "SIGKILL");
          await loading;
          expect(refusal(() => fleet.place("m")).row).toBe("model_not_ready");
        } else if (what === "place" && fleet.ready()) {
          const before = held();
          const placement = fleet.place("m");
          expect(placement === null).toBe(before === slots);
          if (placement) all.push({ placement, released: false });
        } else if (typeof what === "number" && all.length > 0) {
          const one = all[what % all.length]!; // perhaps for the second time
          one.placement.release();
          one.released = true;
        }
      }
      for (const one of all) one.placement.release();
      if (!fleet.ready()) await until(({ state }) => state === "warm");
      const taken = Array.from({ length: slots }, () => fleet.place("m")!);
      expect(taken).not.toContain(null);
      expect(fleet.place("m")).toBeNull();
      for (const placement of taken) placement.release();
    }),
    { numRuns: 25 },
  );
}, 60_000);

test("a worker that floods its standard error costs neither memory nor log, and loads all the same", async () => {
  for (const floodLine of [false, true]) {
    const { fleet, log, pids } = fleetOf([{ floodMb: 512, floodLine }, {}]);
    const before = process.memoryUsage.rss();
    await fleet.start();
    // Garbage that nobody has collected yet, not the flood.
    Bun.gc(true);
    expect(process.memoryUsage.rss() - before).toBeLessThan(384 * 1024 * 1024);
    const lines = log.filter(({ engine, text }) => engine === "e" && !String(text).startsWith("worker"));
    expect(lines.length).toBeLessThan(10_000);
    expect(Math.max(...lines.map(({ text }) => String(text).length))).toBe(1_000);
    const again = new Promise<void>((resolve) => fleet.onFree(() => resolve()));
    process.kill(pids()[0]!, "SIGKILL");
    await again;
    const { lastWords } = log.find(({ text }) => text === "worker ended") as { lastWords: string[] };
    expect(lastWords.length).toBeLessThanOrEqual(20);
    expect(lastWords.at(-1)).toBe("after the flood");
  }
}, 60_000);

test("no worker outlives a parent that is killed", async () => {
  const parent = Bun.spawn([process.execPath, join(import.meta.dir, "test-orphan.ts")], { stdout: "pipe" });
  const { value } = await parent.stdout.getReader().read();
  const { pid, folder } = JSON.parse(new TextDecoder().decode(value)) as { pid: number; folder: string };
  expect(isAlive(pid)).toBe(true);
  parent.kill("SIGKILL");
  const until = performance.now() + 2_000;
  while (isAlive(pid) && performance.now() < until) await Bun.sleep(10);
  expect(isAlive(pid)).toBe(false);
  rmSync(folder, { recursive: true });
}, 10_000);

test("nor does one whose thread is busy and sees nothing", async () => {
  const orphan = [process.execPath, join(import.meta.dir, "test-orphan.ts"), "stuck"];
  const parent = Bun.spawn(orphan, { stdout: "pipe" });
  const { value } = await parent.stdout.getReader().read();
  const { pid, folder } = JSON.parse(new TextDecoder().decode(value)) as { pid: number; folder: string };
  expect(isAlive(pid)).toBe(true);
  parent.kill("SIGKILL");
  const until = performance.now() + 2_000;
  while (isAlive(pid) && performance.now() < until) await Bun.sleep(10);
  expect(isAlive(pid)).toBe(process.platform !== "linux");
  if (process.platform !== "linux") process.kill(pid, "SIGKILL");
  rmSync(folder, { recursive: true });
}, 10_000);

test("a signal to our group, as Ctrl-C in a terminal sends it, leaves the workers to us", async () => {
  const { fleet, pids } = fleetOf([{}]);
  await fleet.start();
  const groupOf = (pid: number) =>
    Bun.spawnSync(["ps", "-o", "pgid=", "-p", String(pid)])
      .stdout.toString()
      .trim();
  expect(groupOf(pids()[0]!)).toBe(String(pids()[0]));
});

test("a fleet is built of what the tables name, or says what is missing", () => {
  const entry = { id: "e", kind: "k", models: [{ id: "m" }], slots: 1, weight: 1, tags: [], pinned: true, options: {} };
  const kind = { worker: "/worker.ts", features: [], loadsFiles: false, simulated: false };
  const rest = { models: [], engines: [entry], log: { info() {}, error() {} }, env: {}, loadMsMax: 1 };
  expect(() => createFleet({ ...rest, kinds: {} })).toThrow("engine e: its kind k has no worker");
  expect(() => createFleet({ ...rest, kinds: { k: kind } })).toThrow("engine e: the model m is not in the catalogue");
});
