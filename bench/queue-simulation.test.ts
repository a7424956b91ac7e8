import { expect, test } from "bun:test";
import { loadConfig } from "../server/config.ts";
import { type GroupResult, mixedLoad, type SimulationOptions, simulate } from "./queue-simulation.ts";

const HOUR_MS = 3_600_000;
const HIGHEST_P99_MS = 2_000;
/** Sixteen slots and 4 s a call: four calls a second is all they can do. */
const SETTING: Omit<SimulationOptions, "accounts" | "seed"> = {
  classes: loadConfig({ env: {} }).queue,
  slots: 16,
  serviceMsMean: 4_000,
  ms: HOUR_MS,
  warmUpMs: 600_000,
};
const OVERLOAD = mixedLoad(6);
const byGroup = (results: GroupResult[]) => Object.fromEntries(results.map((each) => [each.group, each]));
const shareOf = (results: GroupResult[], name: string) => {
  const served = (rows: GroupResult[]) => rows.reduce((sum, row) => sum + row.served, 0);
  return served(results.filter(({ group }) => group.startsWith(name))) / served(results);
};

test.each([1, 2, 3, 4, 5])("at one and a half times the load, with seed %d: the table of the design", (seed) => {
  const results = simulate({ ...SETTING, accounts: OVERLOAD, seed });
  const { highest, high, "best effort, light": light, "best effort, heavy": heavy } = byGroup(results);
  expect(highest!.p99).toBeLessThan(HIGHEST_P99_MS);
  for (const group of [highest!, high!, light!]) {
    expect(group.served).toBe(group.came);
    expect(group.served).toBeGreaterThan(2_000);
  }
  expect(light!.p50).toBeLessThan(5_000);
  expect(heavy!.refused).toBeGreaterThan(heavy!.expired);
  expect(heavy!.served + heavy!.refused + heavy!.expired).toBe(heavy!.came);
  expect(shareOf(results, "best effort")).toBeGreaterThan(0.05);
});

test("with more calls of the highest class alone than there is room for, the others get their floors", () => {
  const accounts = OVERLOAD.map((each) => (each.group === "highest" ? { ...each, rate: 1 } : each));
  const results = simulate({ ...SETTING, accounts, seed: 1 });
  expect(shareOf(results, "high")).toBeGreaterThan(0.1);
  expect(shareOf(results, "best effort")).toBeGreaterThan(0.05);
  expect(results.find(({ group }) => group === "high")!.served).toBeGreaterThan(0.09 * 4 * 3_600);
});

test("in order of arrival the highest class would get nothing", () => {
  const results = simulate({ ...SETTING, accounts: OVERLOAD, seed: 1, fifo: true });
  expect(byGroup(results).highest!.served / byGroup(results).highest!.came).toBeLessThan(0.05);
});

test("below its capacity a model refuses nobody", () => {
  for (const group of simulate({ ...SETTING, accounts: mixedLoad(3.2), seed: 1 }))
    expect(group.served).toBe(group.came);
});
