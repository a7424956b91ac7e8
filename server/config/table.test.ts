// What loading says about a table that is wrong.

import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FEATURES } from "@oxbow/contract";
import fc from "fast-check";
import { parse } from "yaml";
import { ConfigError, type ConfigOptions, loadConfig } from "../config.ts";

const SHIPPED = resolve(import.meta.dir, "../../data");
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
  }, 120_000);
});

/** Every place in a parsed table, as the keys that lead there. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...pathsOf(inner).map((path) => [key, ...path])]);
}
