// The table of engines changes while the fleet runs: real workers, whose calls are to notice nothing.

import { afterEach, expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import type { Placement } from "./fleet.ts";
import { isAlive, model, testFleet } from "./test-fleet.ts";

const open: { end(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.end();
});
async function started(...args: Parameters<typeof testFleet>) {
  const made = testFleet(...args);
  open.push(made);
  await made.fleet.start();
  const pidAt = async ({ engine }: Placement) => {
    const answer = await engine.send("/v1/chat/completions", new Uint8Array(2), {
      signal: new AbortController().signal,
    });
    return ((await answer.json()) as { pid: number }).pid;
  };
  const gone = async (pid: number) => {
    const until = performance.now() + 5_000;
    while (isAlive(pid) && performance.now() < until) await Bun.sleep(10);
    return !isAlive(pid);
  };
  return { ...made, pidAt, gone };
}

test("an engine that becomes another one serves until its successor is warm, and finishes what it has begun", async () => {
  const { fleet, table, row, pids, pidAt, gone, until } = await started([{}, { polls: 3 }]);
  const [old] = pids();
  const held = fleet.place("m")!;
  const warm = until(({ state }) => state === "warm");
  fleet.apply({ ...table, engines: [{ ...row, slots: 5 }] }); // a worker is told its slots when it starts
  const meanwhile = fleet.place("m")!;
  expect(await pidAt(meanwhile)).toBe(old!);
  meanwhile.release();
  await warm;
  const next = fleet.place("m")!;
  expect(await pidAt(next)).toBe(pids()[1]!);
  expect(fleet.engines()).toMatchObject([{ id: "e", slots: 5, used: 2 }]);
  expect(await pidAt(held)).toBe(old!);
  expect(isAlive(old!)).toBe(true);
  held.release();
  expect(await gone(old!)).toBe(true);
  next.release();
}, 10_000);

test("a table that changes again before the successor is warm leaves the last one, and the first serves until then", async () => {
  const { fleet, table, row, pids, pidAt, gone, until } = await started([{}, { polls: 20 }]);
  const [first] = pids();
  const warm = until(({ state }) => state === "warm");
  for (const slots of [5, 6, 7]) fleet.apply({ ...table, engines: [{ ...row, slots }] });
  const meanwhile = fleet.place("m")!;
  expect(await pidAt(meanwhile)).toBe(first!);
  meanwhile.release();
  await warm;
  expect(fleet.engines()).toMatchObject([{ id: "e", slots: 7, state: "warm" }]);
  const last = fleet.place("m")!;
  const pid = await pidAt(last);
  last.release();
  for (const each of pids()) if (each !== pid) expect(await gone(each)).toBe(true);
  expect(isAlive(pid)).toBe(true);
}, 10_000);

test("weight, tags, accounts and draining change in place", async () => {
  const { fleet, table, row, pids } = await started([{}]);
  fleet.apply({ ...table, engines: [{ ...row, weight: 7, tags: ["new"], accounts: ["a"] }] });
  expect(fleet.engines()).toMatchObject([{ weight: 7, tags: ["new"], accounts: ["a"], state: "warm" }]);
  expect(fleet.place("m", { accountId: "a" })).not.toBeNull();
  expect(fleet.serves("m", "b")).toBeNull();
  fleet.apply({ ...table, engines: [{ ...row, drain: true }] });
  expect(fleet.engines()).toMatchObject([{ state: "draining", used: 1 }]);
  expect(() => fleet.place("m")).toThrow(ApiError);
  const freed: string[] = [];
  fleet.onFree((id) => freed.push(id));
  fleet.apply(table);
  expect(freed).toContain("m"); // who waits is told
  expect(fleet.place("m")).not.toBeNull();
  expect(pids()).toHaveLength(1);
});

test("an engine that is gone from the table ends with its last call, and one that is new is started", async () => {
  const models = [model("m"), model("n")];
  const { fleet, table, row, pids, gone, until } = await started([{}], { models, entry: { models: [{ id: "m" }] } });
  const held = fleet.place("m")!;
  const [old] = pids();
  const warm = until(({ id, state }) => id === "n" && state === "warm");
  fleet.apply({ ...table, engines: [{ ...row, id: "f", models: [{ id: "n" }] }] });
  expect(fleet.serves("m")).toBeNull();
  expect(() => fleet.place("m")).toThrow(ApiError);
  await warm;
  expect(fleet.states()).toMatchObject([{ id: "n", state: "warm", engine: "f" }]);
  expect(isAlive(old!)).toBe(true);
  held.release();
  expect(await gone(old!)).toBe(true);
  fleet.place("n")!.release();
}, 10_000);

test("a table that cannot be built changes nothing", async () => {
  const { fleet, table, row, pids } = await started([{}]);
  const unknown = { ...row, id: "f", models: [{ id: "nobody-knows" }] };
  expect(() => fleet.apply({ ...table, engines: [{ ...row, weight: 9 }, unknown] })).toThrow("not in the catalogue");
  expect(() => fleet.apply({ engines: [row, { ...row, id: "f" }], kinds: {} })).toThrow("its kind test has no worker");
  expect(fleet.engines()).toMatchObject([{ id: "e", weight: 1, state: "warm" }]);
  expect(fleet.place("m")).not.toBeNull();
  expect(pids()).toHaveLength(1);
});

test("who waits for a model hears at once that its last engine was taken away, drains, or is there for others", async () => {
  const { fleet, table, row } = await started([{}], { slots: 1, models: [model("m"), model("n")] });
  const held = fleet.place("m")!;
  expect(fleet.place("m")).toBeNull();
  const told: string[] = [];
  fleet.onFree((id) => void told.push(id));
  const place = () => fleet.place("m", { accountId: "x" });
  for (const engines of [[], [{ ...row, drain: true }], [{ ...row, accounts: ["y"] }]]) {
    told.length = 0;
    fleet.apply({ ...table, engines });
    expect(told).toContain("m");
    expect(place).toThrow(ApiError);
    fleet.apply(table);
    expect(told.filter((id) => id === "m").length).toBeGreaterThan(1);
  }
  held.release();
});

test("an engine of all other models stays as it is when one of them gets its own, and is made anew when it gets one more", async () => {
  const models = [model("m"), model("n")];
  const { fleet, table, row, pids, until } = await started([{}], { models, entry: { models: "all" } });
  const own = { ...row, id: "f", models: [{ id: "n" }] };
  const warm = until(({ engine, state }) => engine === "f" && state === "warm");
  fleet.apply({ ...table, engines: [row, own] });
  await warm;
  expect(fleet.states().map(({ id, engine }) => [id, engine])).toEqual([
    ["m", "e"],
    ["n", "f"],
  ]);
  expect(fleet.engines().map(({ id, models }) => [id, models])).toEqual([
    ["e", ["m"]],
    ["f", ["n"]],
  ]);
  expect(pids()).toHaveLength(2);
  const back = until(({ id, engine, state }) => id === "n" && engine === "e" && state === "warm");
  fleet.apply({ ...table, engines: [{ ...row, models: [{ id: "m" }] }] });
  fleet.apply(table);
  await back;
  expect(fleet.states().map(({ engine }) => engine)).toEqual(["e", "e"]);
}, 10_000);
