// The tables that are shipped: what they promise, and that loading holds them to it.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { FEATURES } from "@oxbow/contract";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";
import engineSchema from "../data/engines.schema.json" with { type: "json" };
import modelSchema from "../data/models.schema.json" with { type: "json" };
import planSchema from "../data/plans.schema.json" with { type: "json" };
import queueSchema from "../data/queue.schema.json" with { type: "json" };
import { loadConfig } from "./config.ts";

const SHIPPED = resolve(import.meta.dir, "../data");
const textOf = (table: string) => readFileSync(join(SHIPPED, `${table}.yaml`), "utf8");

describe("the shipped data", () => {
  test("has exactly the models of the product, and the built-in one", () => {
    const ids = loadConfig({ env: {} }).models.map((model) => model.id);
    expect(ids.filter((id) => id !== "tiny").sort()).toEqual(CATALOGUE.toSorted());
    expect(ids).toContain("tiny");
    expect(CATALOGUE).toHaveLength(44);
  });

  test("knows every spelling in the product's documents", () => {
    const owners = new Map<string, string>();
    for (const { id, aliases } of loadConfig({ env: {} }).models) {
      for (const name of [id, ...aliases]) owners.set(name, id);
    }
    expect(owners.get("qwen3-32b")).toBe("qwen-3-32b");
    expect(owners.get("gemma-3-27b")).toBe("gemma-27b");
    expect(owners.get("gemma-3-27b-it")).toBe("gemma-27b");
    expect(owners.get("kimi-vl-a3b")).toBe("kimi-vl-3b");
    expect(owners.get("meta-llama/Llama-3.3-70B-Instruct")).toBe("llama-3.3-70b");
  });

  test("gives each model the tier and the abilities that the documents promise", () => {
    const models = new Map(loadConfig({ env: {} }).models.map((model) => [model.id, model]));
    const tiers = (tier: string) => [...models.values()].filter((model) => model.tier === tier && model.id !== "tiny");
    expect(tiers("free")).toHaveLength(14);
    expect(tiers("pro")).toHaveLength(14);
    expect(tiers("premium")).toHaveLength(16);
    for (const { category, capabilities, contextTokens, dimensions, id } of models.values()) {
      if (category === "chat" || category === "code") expect(capabilities, id).toContain("tools");
      if (category === "vision") expect(capabilities, id).toContain("vision");
      if (category === "embeddings") expect([contextTokens, dimensions], id).toEqual([512, 1024]);
    }
    expect(models.get("kimi-k2.6")).toMatchObject({
      contextTokens: 131_072,
      capabilities: ["tools", "vision", "reasoning"],
    });
    expect(models.get("deepseek-v4-flash")?.contextTokens).toBe(1_048_576);
    expect(models.get("gemma-3-4b")?.capabilities).toContain("vision");
    expect(models.get("oxlo-image-pro")?.weights).toBeNull();
  });

  test("says when weights were published, in Unix seconds, and 0 where nobody says", () => {
    const created = new Map(loadConfig({ env: {} }).models.map((model) => [model.id, model.created]));
    expect(created.get("llama-3.3-70b")).toBe(Date.UTC(2024, 11, 6) / 1000);
    expect(created.get("whisper-medium")).toBe(Date.UTC(2022, 8, 1) / 1000);
    expect(created.get("oxlo-coder-fast")).toBe(0);
  });

  test("names a source and the day it was read for every model", () => {
    const table = parse(textOf("models"), { merge: true }) as Record<string, { source: string[]; read: string }>;
    for (const { source, read } of Object.values(table)) {
      expect(source.length).toBeGreaterThan(0);
      expect(read).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    }
  });

  test("holds both generations of plans, and sells the newer one", () => {
    const { plans } = loadConfig({ env: {} });
    const numbers = plans.map((plan) => [
      plan.version,
      plan.id,
      plan.priceCents,
      plan.requestsPerDay,
      plan.requestsPerMinute,
      plan.inputTokensMax,
      plan.outputTokensMax,
      plan.audioSecondsMax,
      plan.imagePixelsMax,
      plan.speechCharactersMax,
      plan.concurrencyMax,
      plan.priority,
    ]);
    expect(numbers).toEqual([
      [2025, "free", 0, 60, 5, 2048, 4096, 600, 4194304, 1000, 1, "best_effort"],
      [2025, "pro", 1490, 300, 60, 4096, 8192, 1800, 16777216, 4096, 20, "high"],
      [2025, "premium", 4990, 2000, 100, 16384, 32768, 7200, 33554432, 4096, 50, "highest"],
      [2025, "enterprise", null, null, null, null, null, null, null, null, null, "dedicated"],
      [2026, "free", 0, 60, 5, 2048, 4096, 600, 4194304, 1000, 1, "best_effort"],
      [2026, "pro", 8000, 1000, 60, 4096, 8192, 1800, 16777216, 4096, 20, "high"],
      [2026, "premium", 35000, 5000, 100, 16384, 32768, 7200, 33554432, 4096, 50, "highest"],
      [2026, "enterprise", null, null, null, null, null, null, null, null, null, "dedicated"],
    ]);
    expect(loadConfig({ env: {} })).toMatchObject({
      adminPlan: { id: "enterprise", version: 2026 },
      defaultPlan: { id: "free", version: 2026 },
    });
    expect(plans.filter((plan) => plan.sold).map((plan) => plan.version)).toEqual([2026, 2026, 2026, 2026]);
    expect(plans.filter((plan) => plan.trialDays > 0).map((plan) => [plan.id, plan.trialDays])).toEqual([
      ["free", 7],
      ["free", 7],
    ]);
    for (const { id, tiers } of plans) expect(tiers).toEqual(id === "free" ? ["free"] : ["free", "pro", "premium"]);
  });

  test("has one engine by default, and with the simulator a second one and the fault models", () => {
    const plain = loadConfig({ env: {} });
    expect(plain.engines).toMatchObject([{ id: "tiny", kind: "llama", slots: 8, pinned: true, options: {} }]);
    expect(plain.engines[0]?.models).toEqual([{ id: "tiny", file: resolve(SHIPPED, "../models/tiny/tiny.gguf") }]);
    expect(plain.models.some((model) => model.id.startsWith("fault-"))).toBe(false);

    const simulated = loadConfig({ env: { OXBOW_SIMULATE: "1" } });
    expect(simulated.simulate).toBe(true);
    expect(simulated.engines.map((engine) => [engine.id, engine.models === "all"])).toEqual([
      ["tiny", false],
      ["simulator", true],
    ]);
    expect(simulated.kinds.simulator).toMatchObject({ simulated: true, loadsFiles: false });
    for (const name of ["fault-429", "fault-429-once", "fault-midstream", "fault-slow"]) {
      expect(simulated.models.map((model) => model.id)).toContain(name);
    }
    expect(loadConfig({ env: { OXBOW_SIMULATE: "1" }, simulate: false }).engines).toHaveLength(1);
  });

  test("is described by schemas that are valid themselves", () => {
    for (const schema of [modelSchema, planSchema, engineSchema, queueSchema]) {
      expect(new Ajv2020({ strict: false }).validateSchema(schema)).toBe(true);
    }
  });

  test("uses the contract's features, all and only", () => {
    const allowed = engineSchema.properties.kinds.additionalProperties.properties.features.items.enum;
    expect(allowed.toSorted()).toEqual(FEATURES.toSorted());
  });

  test("cannot be changed by who is handed it", () => {
    const config = loadConfig({ env: {} });
    expect(() => config.models[0]?.capabilities.push("x")).toThrow(TypeError);
    expect(() => Object.assign(config.limits, { drainMsMax: 1 })).toThrow(TypeError);
  });
});

/** The product's catalogue: 45 listings, of which gemma-3-4b is two. */
const CATALOGUE =
  `qwen-3-32b llama-3.3-70b deepseek-r1 deepseek-r1-0528 gpt-oss-120b kimi-k2-thinking kimi-k2.5 kimi-k2.6
  deepseek-v4-flash minimax-m2.5 glm-5 deepseek-r1-70b llama-4-maverick-17b mistral-24b qwen-14b qwen-2.5-7b llama-3.1-8b
  ministral-14b deepseek-v3 deepseek-v3.2 mistral-7b llama-3.2-3b gemma-3-4b
  qwen3-coder-30b deepseek-coder-33b deepseek-coder qwen-2.5-coder-7b oxlo-coder-fast
  gemma-27b kimi-vl-3b
  oxlo-image-pro oxlo-image-ultra stable-diffusion-3.5-large sdxl flux.1-schnell stable-diffusion-v1.5
  whisper-large-v3 whisper-turbo whisper-medium kokoro-82m
  bge-large e5-large
  yolov9 yolov11`.split(/\s+/);
