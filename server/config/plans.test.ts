import { afterAll, beforeEach, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ConfigError, createPlans, loadConfig } from "../config.ts";

const SHIPPED = resolve(import.meta.dir, "../../data");
const scratch = mkdtempSync(join(tmpdir(), "oxbow-plans-"));
const file = join(scratch, "plans.yaml");
const text = readFileSync(join(SHIPPED, "plans.yaml"), "utf8");
afterAll(() => rmSync(scratch, { recursive: true }));
beforeEach(() => cpSync(SHIPPED, scratch, { recursive: true }));

const open = () => createPlans(loadConfig({ env: {}, dataDir: scratch }));
const pro = { id: "pro", version: 2026 };

test("a plan is found by id and version, whether it is sold or not", () => {
  const plans = open();
  expect(plans.find(pro)).toMatchObject({ ...pro, sold: true, requestsPerDay: 1000 });
  expect(plans.find({ id: "pro", version: 2025 })).toMatchObject({ sold: false, requestsPerDay: 300 });
  for (const plan of [
    { id: "pro", version: 2024 },
    { id: "pr", version: 2026 },
  ])
    expect(plans.find(plan)).toBeUndefined();
});

test("a reload puts the whole file in force at once, and leaves what was handed out before as it was", () => {
  const plans = open();
  const [before, planBefore] = [plans.list(), plans.find(pro)];
  writeFileSync(file, text.replace("requestsPerDay: 1000", "requestsPerDay: 1001").replace("sold: 2026", "sold: 2025"));
  expect(plans.list()).toBe(before);
  plans.reload(() => {});
  expect(plans.find(pro)).toMatchObject({ requestsPerDay: 1001, sold: false });
  expect(plans.table()).toMatchObject({
    adminPlan: { id: "enterprise", version: 2025 },
    defaultPlan: { id: "free", version: 2025 },
  });
  expect(before).not.toBe(plans.list());
  expect(planBefore).toMatchObject({ requestsPerDay: 1000, sold: true });
  expect(Object.isFrozen(plans.find(pro))).toBe(true);
});

test.each([
  [
    "a field that cannot be",
    text.replace("requestsPerDay: 1000", "requestsPerDay: -1"),
    "versions.2026.pro.requestsPerDay",
  ],
  [
    "a tier that no model could have",
    text.replace("tiers: [free]", "tiers: [gold]"),
    "must be one of free, pro, premium",
  ],
  ["tiers that models have and it lacks", text.replaceAll(/, premium\]/g, "]"), "models.yaml: "],
  ["half a file", text.slice(0, text.length / 2), "plans.yaml: "],
  ["nothing", "", "the file must be a block of fields"],
])("%s: refused in one line, and the old plans stay in force", (_, broken, words) => {
  const plans = open();
  const before = plans.table();
  writeFileSync(file, broken);
  let message = "";
  try {
    plans.reload(() => {});
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    message = error.message;
  }
  expect(message).toContain(words);
  expect(message).not.toContain("\n");
  expect(plans.table()).toBe(before);
  writeFileSync(file, text);
  plans.reload(() => {});
  expect(plans.table()).toEqual(before);
});

test("no file, and plans that the accounts could not live with, change nothing either", () => {
  const plans = open();
  const before = plans.table();
  rmSync(file);
  expect(() => plans.reload(() => {})).toThrow("there is no such file");
  writeFileSync(file, text);
  const refuse = () => {
    throw new Error("somebody has that plan");
  };
  expect(() => plans.reload(refuse)).toThrow("somebody has that plan");
  expect(plans.table()).toBe(before);
});
