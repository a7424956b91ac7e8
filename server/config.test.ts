import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FEATURES } from "@oxbow/contract";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { parse } from "yaml";
import engineSchema from "../data/engines.schema.json" with { type: "json" };
import modelSchema from "../data/models.schema.json" with { type: "json" };
import planSchema from "../data/plans.schema.json" with { type: "json" };
import queueSchema from "../data/queue.schema.json" with { type: "json" };
import { LIMITS, limitVariable } from "./config/limits.ts";
import { ConfigError, type ConfigOptions, type Limits, loadConfig, loadPlace } from "./config.ts";

const SHIPPED = resolve(import.meta.dir, "../data");
const scratch = mkdtempSync(join(tmpdir(), "oxbow-config-"));
afterAll(() => rmSync(scratch, { recursive: true }));
cpSync(SHIPPED, scratch, { recursive: true });

const KINDS = Object.keys(loadConfig({ env: {} }).kinds).join(", ");
type Table = "models" | "plans" | "engines" | "queue";
const textOf = (table: Table) => readFileSync(join(SHIPPED, `${table}.yaml`), "utf8");

/** What loading says with one table changed, without the path of the scratch folder. */
function complaint(table: Table, text: string, options: Partial<ConfigOptions> = {}): string {
  const file = join(scratch, `${table}.yaml`);
  writeFileSync(file, text);
  try {
    loadConfig({ env: {}, dataDir: scratch, ...options });
    return "";
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message).not.toContain("\n");
    return error.message.replace(`${scratch}/`, "");
  } finally {
    writeFileSync(file, textOf(table));
  }
}

/** The same with one place of the parsed table deleted (undefined) or replaced. JSON is YAML, and quicker to write. */
function broken(table: Table, path: string[], value: unknown): string {
  const root: unknown = parse(textOf(table), { merge: true });
  const holder = path.slice(0, -1).reduce((at, key) => (at as Record<string, unknown>)[key], root);
  (holder as Record<string, unknown>)[path.at(-1)!] = value;
  return complaint(table, JSON.stringify(root));
}

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

const A_DATE = "a date such as 2024-12-06, 2024-12 or 2024";
const CATEGORIES = "chat, code, vision, embeddings, audio, images, detection";

describe("a broken entry is told by file, entry and field", () => {
  const llama = "llama-3.3-70b";
  test.each<[string, unknown, string]>([
    [`models/${llama}/contextTokens`, 0, `${llama}.contextTokens must be an integer ≥ 1 or null, but is 0`],
    [`models/${llama}/contextTokens`, "9k", `${llama}.contextTokens must be an integer ≥ 1 or null, but is '9k'`],
    [`models/${llama}/ownedBy`, undefined, `${llama}.ownedBy is missing; it must be a text that is not empty`],
    [`models/${llama}/read`, undefined, `${llama}.read is missing; it must be ${A_DATE}`],
    [`models/${llama}/released`, "May", `${llama}.released must be ${A_DATE}, but is 'May'`],
    [`models/${llama}/contexTokens`, 1, `${llama}.contexTokens is not a known field; did you mean contextTokens?`],
    [`models/${llama}/colour`, "red", `${llama}.colour is not a known field`],
    [`models/${llama}/category`, "chatt", `${llama}.category must be one of ${CATEGORIES}, but is 'chatt'`],
    [`models/${llama}/tier`, "gold", `${llama}.tier must be one of free, pro, premium (plans.yaml), but is 'gold'`],
    [`models/${llama}/weights/hub`, "x", `${llama}.weights.hub must be a repository such as owner/name, but is 'x'`],
    [`models/${llama}/aliases`, ["a b"], `${llama}.aliases[0] must be a model name without spaces, but is 'a b'`],
    [`models/${llama}/capabilities`, ["tools", "tools"], `${llama}.capabilities holds an entry twice: 'tools'`],
    ["models/qwen-14b/aliases", [llama], `qwen-14b.aliases[0] '${llama}' is taken by ${llama}`],
    ["models/qwen-14b/aliases", ["gemma-3-27b"], "gemma-27b.aliases[0] 'gemma-3-27b' is taken by qwen-14b"],
    ["models/qwen-14b/aliases", ["qwen-14b"], "qwen-14b.aliases[0] 'qwen-14b' is taken by qwen-14b"],
    ["models/Llama 3", {}, "Llama 3 must be called by an id of lower-case letters, digits, '.' and '-'"],
    [
      "plans/versions/2026/pro/requestsPerDay",
      0,
      "versions.2026.pro.requestsPerDay must be an integer ≥ 1 or null, but is 0",
    ],
    [
      "plans/versions/2026/pro/priceCents",
      14.9,
      "versions.2026.pro.priceCents must be an integer ≥ 0 or null, but is 14.9",
    ],
    [
      "plans/versions/2026/pro/concurrencyMax",
      undefined,
      "versions.2026.pro.concurrencyMax is missing; it must be an integer ≥ 1 or null",
    ],
    [
      "plans/versions/2026/pro/priority",
      "x",
      "versions.2026.pro.priority must be one of best_effort, high, highest, dedicated, but is 'x'",
    ],
    [
      "plans/versions/2026/pro/tiers",
      ["free", "gold"],
      "versions.2026.pro.tiers[1] must be one of free, pro, premium, but is 'gold'",
    ],
    ["plans/versions", {}, "versions must not be empty"],
    ["plans/admin", "boss", "admin must be one of free, pro, premium, enterprise, but is 'boss'"],
    ["plans/default", "guest", "default must be one of free, pro, premium, enterprise, but is 'guest'"],
    ["plans/sold", 2027, "sold must be one of 2025, 2026, but is 2027"],
    ["engines/engines/tiny/kind", "lama", `engines.tiny.kind must be one of ${KINDS}, but is 'lama'`],
    ["engines/engines/tiny/kind", "constructor", `engines.tiny.kind must be one of ${KINDS}, but is 'constructor'`],
    [
      "engines/engines/tiny/models/0/id",
      "tyny",
      "engines.tiny.models[0].id 'tyny' is not in models.yaml; did you mean tiny?",
    ],
    [
      "engines/engines/tiny/models/0/file",
      undefined,
      "engines.tiny.models[0].file is missing; llama loads a file for each model, and the catalogue does not say where to pull one",
    ],
    ["engines/engines/tiny/models", "all", "engines.tiny.models must be a list: llama loads a file for each model"],
    [
      "engines/engines/tiny/models",
      "some",
      "engines.tiny.models must be a list of models, or the word all, but is 'some'",
    ],
    [
      "engines/engines/tiny/models",
      [],
      "engines.tiny.models must be a list of models, or the word all, but is an empty list",
    ],
    ["engines/engines/tiny/slots", 5000, "engines.tiny.slots must be an integer from 1 to 4096, but is 5000"],
    ["engines/engines/tiny/slot", 4, "engines.tiny.slot is not a known field; did you mean slots?"],
    ["engines/engines/tiny/pinned", "yes", "engines.tiny.pinned must be true or false, but is 'yes'"],
    ["engines/engines/tiny/options", 1, "engines.tiny.options must be a block of fields, but is 1"],
    ["engines/engines/tiny/when", "always", "engines.tiny.when must be 'simulate', but is 'always'"],
    [
      "engines/kinds/llama/features",
      ["tool"],
      `kinds.llama.features[0] must be one of ${FEATURES.join(", ")}, but is 'tool'`,
    ],
    ["engines/kinds/llama/worker", undefined, "kinds.llama must have either a worker or remote"],
    ["engines/kinds/vllm/worker", "w.ts", "kinds.vllm must have either a worker or remote"],
    ["engines/kinds/vllm/remote/priority/order", undefined, "kinds.vllm.remote.priority.order is missing"],
    ["engines/kinds/router/remote/priority", {}, "kinds.router.remote.priority must have either a field or a header"],
    [
      "engines/kinds/openai/remote/refusals/0/text",
      "(",
      "kinds.openai.remote.refusals[0].text must be a regular expression",
    ],
    ["engines/engines/tiny/kind", "vllm", "engines.tiny.url is missing; vllm runs elsewhere"],
    [
      "engines/engines/tiny/url",
      "10.0.0.1:8000",
      "engines.tiny.url must be a URL such as http://10.0.0.1:8000/v1, but is '10.0.0.1:8000'",
    ],
    ["engines/engines/tiny/url", "http://10.0.0.1/v1", "engines.tiny.url is not known here: llama runs as a worker"],
    ["engines/engines/tiny/apiKeyEnv", "KEY", "engines.tiny.apiKeyEnv is for engines with a url"],
    ["engines/engines/tiny/weight", 0, "engines.tiny.weight must be a number above 0, at most 1000, but is 0"],
    [
      "engines/engines/far",
      { kind: "vllm", url: "http://h/v1", models: [{ id: "tiny" }], slots: 1, apiKeyEnv: "FAR_KEY" },
      "engines.far.apiKeyEnv names FAR_KEY, which the environment does not have",
    ],
    [
      "engines/engines/far",
      { kind: "vllm", url: "http://h/v1", models: [{ id: "tiny", file: "f" }], slots: 1 },
      "engines.far.models[0].file is not known here: the weights of vllm are its own affair",
    ],
    [
      "engines/engines/tiny/models/0/name",
      "n",
      "engines.tiny.models[0].name is for engines with a url: a worker is told our id",
    ],
    ["engines/engines", undefined, "engines is missing; it must be a block of fields"],
    ["queue/classes/high/floor", 0.5, "classes.high.floor must be a number from 0 to 0.2, but is 0.5"],
    ["queue/classes/high/waitMsMax", -1, "classes.high.waitMsMax must be an integer from 0 to 3600000, but is -1"],
    ["queue/classes/highest", undefined, "classes.highest is missing; it must be a block of fields"],
    ["queue/classes/lowest", {}, "classes.lowest is not a known field"],
  ])("%s: %j", (place, value, message) => {
    const [table, ...path] = place.split("/");
    expect(broken(table as Table, path, value)).toBe(`${table}.yaml: ${message}`);
  });

  test("and so is a file that is no YAML, or not there", () => {
    const twice = `${textOf("models")}\ntiny:\n  name: Again\n`;
    expect(complaint("models", twice)).toMatch(/^models\.yaml: Map keys must be unique at line \d+, column 1$/);
    expect(complaint("plans", "a: [1")).toMatch(/^plans\.yaml: .+ at line 1, column \d+$/);
    expect(complaint("plans", "")).toBe("plans.yaml: the file must be a block of fields, but is null");
    expect(complaint("plans", "sold: !secret 1")).toMatch(/^plans\.yaml: Unresolved tag: !secret at line 1/);
    expect(complaint("plans", "a: *b")).toMatch(/^plans\.yaml: .*[Uu]nresolved alias/);
    const nowhere = join(scratch, "nowhere");
    expect(() => loadConfig({ env: { OXBOW_DATA: nowhere } })).toThrow(`${nowhere}/models.yaml: there is no such file`);
  });

  test("the operator's own tables are told by their path, the shipped ones from the top of the project", () => {
    writeFileSync(join(scratch, "plans.yaml"), "[]");
    try {
      expect(() => loadConfig({ env: { OXBOW_DATA: scratch } })).toThrow(`${scratch}/plans.yaml: the file must be`);
    } finally {
      writeFileSync(join(scratch, "plans.yaml"), textOf("plans"));
    }
  });

  test("whatever is deleted or replaced, the answer is a config or one line that starts with a file", () => {
    const places = (["models", "plans", "engines"] as const).flatMap((table) =>
      pathsOf(parse(textOf(table), { merge: true })).map((path) => ({ table, path })),
    );
    const junk = fc.oneof(
      fc.constantFrom(undefined, null, "", [], {}, 0, -1, 1e300, true, "all", "tiny", "constructor", "__proto__"),
      fc.jsonValue({ maxDepth: 2 }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...places), junk, ({ table, path }, value) => {
        expect(broken(table, path, value)).toMatch(/^$|^(models|plans|engines)\.yaml: ./);
      }),
      { numRuns: 100 },
    );
  }, 30_000);
});

describe("the environment", () => {
  const load = (env: Record<string, string>, options: Partial<ConfigOptions> = {}) => loadConfig({ env, ...options });

  test("has defaults for everything", () => {
    expect(load({ HOME: "/home/ann" })).toMatchObject({
      host: "127.0.0.1",
      port: 8080,
      home: "/home/ann/.oxbow",
      simulate: false,
      logLevel: "info",
      bootstrapKey: undefined,
      pepper: undefined,
      limits: { bodyBytesMax: 33_554_432, queueWaitMsMax: 120_000, keepaliveMs: 10_000, drainMsMax: 30_000 },
    });
    expect(load({}).version).toMatch(/^\d+\.\d+\.\d+/);
  });

  test("is read, an empty variable being none, and the command line comes before it", () => {
    const env = { PORT: "0", HOST: "::1", OXBOW_HOME: "/srv/oxbow", OXBOW_LOG_LEVEL: "debug", OXBOW_DRAIN_MS_MAX: "0" };
    expect(load(env)).toMatchObject({
      port: 0,
      host: "::1",
      home: "/srv/oxbow",
      logLevel: "debug",
      limits: { drainMsMax: 0 },
    });
    expect(load(env, { port: 9000, host: "0.0.0.0", home: "/tmp/h" })).toMatchObject({
      port: 9000,
      host: "0.0.0.0",
      home: "/tmp/h",
    });
    expect(load({ PORT: "", OXBOW_SIMULATE: "", OXBOW_BOOTSTRAP_KEY: "" })).toMatchObject({
      port: 8080,
      bootstrapKey: undefined,
    });
    const key = "ox_live_0123456789abcdef";
    expect(load({ OXBOW_BOOTSTRAP_KEY: key, OXBOW_PEPPER: `${key}-2` })).toMatchObject({
      bootstrapKey: key,
      pepper: `${key}-2`,
    });
  });

  test.each<[Record<string, string>, string]>([
    [{ PORT: "abc" }, "PORT must be a whole number from 0 to 65535, but is 'abc'"],
    [{ PORT: "65536" }, "PORT must be a whole number from 0 to 65535, but is '65536'"],
    [{ PORT: "-1" }, "PORT must be a whole number from 0 to 65535, but is '-1'"],
    [{ PORT: "0x50" }, "PORT must be a whole number from 0 to 65535, but is '0x50'"],
    [{ PORT: "80.5" }, "PORT must be a whole number from 0 to 65535, but is '80.5'"],
    [{ HOST: "a b" }, "HOST must be an address or a host name, but is 'a b'"],
    [{ OXBOW_SIMULATE: "yes" }, "OXBOW_SIMULATE must be 1 or 0, but is 'yes'"],
    [
      { OXBOW_LOG_LEVEL: "loud" },
      "OXBOW_LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, but is 'loud'",
    ],
    [{ OXBOW_QUEUE_DEPTH_MAX: "-5" }, "OXBOW_QUEUE_DEPTH_MAX must be a whole number from 0 to 1000000, but is '-5'"],
  ])("%j is refused in one line", (env, message) => {
    expect(() => load(env)).toThrow(new ConfigError(message));
  });

  test("a secret that does not fit is refused and never quoted", () => {
    for (const name of ["OXBOW_BOOTSTRAP_KEY", "OXBOW_PEPPER"]) {
      expect(() => load({ [name]: "swordfish 7" })).toThrow(
        new ConfigError(`${name} must be 20 to 256 printable ASCII characters without spaces`),
      );
    }
  });

  test("sets every limit, each within its bounds", () => {
    const most = Object.entries(LIMITS).map(([name, bounds]) => [name, bounds[2]] as const);
    const env = Object.fromEntries(most.map(([name, value]) => [limitVariable(name), String(value)]));
    expect(load(env).limits).toEqual(Object.fromEntries(most) as Limits);
    for (const [name, [otherwise, least, most]] of Object.entries(LIMITS)) {
      expect(least <= otherwise && otherwise <= most, name).toBe(true);
      const variable = limitVariable(name);
      expect(() => load({ [variable]: String(most + 1) })).toThrow(
        `${variable} must be a whole number from ${least} to`,
      );
    }
    expect(limitVariable("queueWaitMsMax")).toBe("OXBOW_QUEUE_WAIT_MS_MAX");
  });

  test("bounds the line of a model further than the table does, never less", () => {
    const shipped = load({}).queue;
    expect(shipped.map((each) => each.id)).toEqual(["dedicated", "highest", "high", "best_effort"]);
    expect(shipped.map((each) => each.waitMsMax)).toEqual([30_000, 30_000, 60_000, 120_000]);
    const tight = load({ OXBOW_QUEUE_DEPTH_MAX: "7", OXBOW_QUEUE_WAIT_MS_MAX: "40000" }).queue;
    expect(tight.map((each) => each.depthMax)).toEqual([7, 7, 7, 7]);
    expect(tight.map((each) => each.waitMsMax)).toEqual([30_000, 30_000, 40_000, 40_000]);
  });

  test("where the server is can be known while a table is broken", () => {
    const env = { OXBOW_HOME: "/srv/oxbow", OXBOW_DATA: "/nowhere", PORT: "1234" };
    expect(loadPlace({ env, port: 5 })).toEqual({ host: "127.0.0.1", port: 5, home: "/srv/oxbow", pepper: undefined });
    expect(() => loadPlace({ env: { HOST: "a b" } })).toThrow(ConfigError);
  });

  test("a port from the command line is checked as well", () => {
    expect(() => load({}, { port: 70_000 })).toThrow("the port must be a whole number from 0 to 65535, but is '70000'");
    expect(() => load({}, { port: Number.NaN })).toThrow("the port must be");
  });
});

/** Every place in a parsed table, as the keys that lead there. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...pathsOf(inner).map((path) => [key, ...path])]);
}

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
