// The only file that reads the environment and data/. Checks both, and hands out one frozen value; whatever is wrong
// there ends the start in a single line that says where, and what it must be.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import engineSchema from "../data/engines.schema.json" with { type: "json" };
import modelSchema from "../data/models.schema.json" with { type: "json" };
import planSchema from "../data/plans.schema.json" with { type: "json" };
import project from "../package.json" with { type: "json" };
import { LIMITS, type Limits, limitVariable } from "./config/limits.ts";
import { ConfigError, nearest, parseTable } from "./config/table.ts";

export { ConfigError, type Limits };

/** Where a server is, and what it keeps: known without a look at data/. */
export interface Place {
  host: string;
  port: number;
  /** Absolute path of the folder that holds what the server keeps. */
  home: string;
  /** What stored key hashes are salted with, when the operator keeps it outside of the home. */
  pepper: string | undefined;
}

export interface Config extends Place {
  version: string;
  simulate: boolean;
  models: Model[];
  plans: Plan[];
  /** The plan of the account that the operator's own keys belong to. */
  adminPlan: { id: string; version: number };
  kinds: Record<string, EngineKind>;
  engines: EngineEntry[];
  limits: Limits;
  logLevel: LogLevel;
  /** The first API key, when the operator chose it. */
  bootstrapKey: string | undefined;
}

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Model {
  id: string;
  name: string;
  category: "chat" | "code" | "vision" | "embeddings" | "audio" | "images" | "detection";
  tier: string;
  parameters?: string;
  /** Prompt and answer together; null for models that read no text, or where nobody has published it. */
  contextTokens: number | null;
  /** What the weights were trained for: tools, vision, reasoning ... */
  capabilities: string[];
  /** Length of an embedding. */
  dimensions?: number;
  aliases: string[];
  description?: string;
  ownedBy: string;
  /** When the weights were published, in Unix seconds; 0 where nobody says. */
  created: number;
  /** null: there are none to download. */
  weights: Weights | null;
}

export interface Weights {
  /** Repository on the Hugging Face hub, `owner/name`. */
  hub?: string;
  /** Where they are when not on the hub. */
  url?: string;
  revision?: string;
  file?: string;
  format: "safetensors" | "gguf" | "onnx" | "pytorch";
  licence?: string;
  /** The hub asks for an account that has accepted the licence. Absent where we do not know. */
  gated?: boolean;
  bytes?: number;
  gguf?: { hub: string; file?: string; bytes?: number };
}

/** One plan in one version. `null` in a limit: none, or by contract. */
export interface Plan {
  id: string;
  version: number;
  /** Whether new subscribers get this version. */
  sold: boolean;
  name: string;
  /** US cents a month. */
  priceCents: number | null;
  requestsPerDay: number | null;
  requestsPerMinute: number | null;
  inputTokensMax: number | null;
  outputTokensMax: number | null;
  concurrencyMax: number | null;
  tiers: string[];
  priority: "best_effort" | "high" | "highest" | "dedicated";
  trialDays: number;
}

export interface EngineKind {
  /** Absolute path of the worker's program. */
  worker?: string;
  /** What the kind carries of the wire: of the contract's FEATURES. */
  features: string[];
  /** Each model of such an engine names a file. */
  loadsFiles: boolean;
  simulated: boolean;
}

export interface EngineEntry {
  id: string;
  kind: string;
  /** "all": every model that no other engine names. Files are absolute paths. */
  models: { id: string; file?: string }[] | "all";
  slots: number;
  threads?: number;
  pinned: boolean;
  options: Record<string, unknown>;
  when?: "simulate";
}

export interface ConfigOptions {
  /** The process's environment. */
  env: Record<string, string | undefined>;
  /** These come before the environment. */
  simulate?: boolean | undefined;
  port?: number | undefined;
  host?: string | undefined;
  home?: string | undefined;
  dataDir?: string | undefined;
}

/** @throws ConfigError */
export function loadConfig(options: ConfigOptions): Config {
  const { env } = options;
  const simulate = options.simulate ?? switchOf(env, "OXBOW_SIMULATE");
  const dataDir = options.dataDir ?? env.OXBOW_DATA ?? "";
  const models = readModels(dataDir);
  const { plans, tiers, adminPlan } = readPlans(dataDir);
  const { kinds, engines } = readEngines(dataDir);
  checkNames(models, labelOf(dataDir, "models"));
  checkTiers(models, plans, tiers, dataDir);
  checkEngines(engines, kinds, models, labelOf(dataDir, "engines"));
  return freeze({
    ...loadPlace(options),
    version: project.version,
    simulate,
    models: models.filter((model) => simulate || model.when === undefined).map(modelOf),
    plans,
    adminPlan,
    kinds,
    engines: engines.filter((engine) => simulate || engine.when === undefined),
    limits: limitsOf(env),
    logLevel: levelOf(env.OXBOW_LOG_LEVEL || "info"),
    bootstrapKey: secretOf(env, "OXBOW_BOOTSTRAP_KEY"),
  });
}

/**
 * The part that a broken table in data/ must not keep from anyone: keys can be revoked all the same.
 * @throws ConfigError
 */
export function loadPlace(options: Omit<ConfigOptions, "simulate" | "dataDir">): Place {
  const { env } = options;
  return {
    host: hostOf(options.host || env.HOST || "127.0.0.1"),
    port: options.port === undefined ? wholeOf("PORT", env.PORT, 8080, 0, 65_535) : portOf(options.port),
    home: resolve(options.home || env.OXBOW_HOME || join(env.HOME || homedir(), ".oxbow")),
    pepper: secretOf(env, "OXBOW_PEPPER"),
  };
}

// The environment

function wholeOf(name: string, text: string | undefined, otherwise: number, least: number, most: number): number {
  if (text === undefined || text === "") return otherwise;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new ConfigError(`${name} must be a whole number from ${least} to ${most}, but is '${text}'`);
}

function portOf(port: number): number {
  return wholeOf("the port", String(port), 0, 0, 65_535);
}

function limitsOf(env: ConfigOptions["env"]): Limits {
  const read = Object.entries(LIMITS).map(([name, [otherwise, least, most]]) => {
    const variable = limitVariable(name);
    return [name, wholeOf(variable, env[variable], otherwise, least, most)];
  });
  return Object.fromEntries(read);
}

function switchOf(env: ConfigOptions["env"], name: string): boolean {
  const text = env[name] ?? "";
  if (["1", "true"].includes(text)) return true;
  if (["", "0", "false"].includes(text)) return false;
  throw new ConfigError(`${name} must be 1 or 0, but is '${text}'`);
}

function hostOf(host: string): string {
  if (/^[A-Za-z0-9._:%-]{1,253}$/.test(host)) return host;
  throw new ConfigError(`HOST must be an address or a host name, but is '${host}'`);
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

function levelOf(text: string): LogLevel {
  const level = LOG_LEVELS.find((name) => name === text);
  if (level) return level;
  throw new ConfigError(`OXBOW_LOG_LEVEL must be one of ${LOG_LEVELS.join(", ")}, but is '${text}'`);
}

function secretOf(env: ConfigOptions["env"], name: string): string | undefined {
  const secret = env[name];
  if (secret === undefined || secret === "") return undefined;
  if (/^[\x21-\x7e]{20,256}$/.test(secret)) return secret;
  // A secret is never quoted.
  throw new ConfigError(`${name} must be 20 to 256 printable ASCII characters without spaces`);
}

// The tables

const PROJECT = resolve(import.meta.dir, "..");

/** The name of a table in messages: `data/models.yaml`, or the path of the operator's own. */
function labelOf(dataDir: string, table: string): string {
  return join(dataDir || "data", `${table}.yaml`);
}

function readTable<T>(dataDir: string, table: string, schema: object): T {
  const label = labelOf(dataDir, table);
  let text: string;
  try {
    text = readFileSync(resolve(dataDir || join(PROJECT, "data"), `${table}.yaml`), "utf8");
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new ConfigError(`${label}: ${missing ? "there is no such file" : `cannot be read: ${cause}`}`);
  }
  return parseTable<T>(label, text, schema);
}

type ModelRow = Omit<Model, "created"> & { released?: string; when?: "simulate"; source: string[]; read: string };
type PlanTable = {
  tiers: string[];
  sold: number;
  admin: string;
  versions: Record<string, Record<string, Omit<Plan, "id" | "version" | "sold">>>;
};
type EngineTable = { kinds: Record<string, EngineKind>; engines: Record<string, Omit<EngineEntry, "id">> };

function readModels(dataDir: string): ModelRow[] {
  const table = readTable<Record<string, Omit<ModelRow, "id">>>(dataDir, "models", modelSchema);
  return Object.entries(table).map(([id, row]) => ({ id, ...row }));
}

function modelOf({ released, when: _, source: __, read: ___, ...model }: ModelRow): Model {
  return { ...model, created: released === undefined ? 0 : Date.parse(released) / 1000 };
}

function readPlans(dataDir: string): Pick<Config, "plans" | "adminPlan"> & { tiers: string[] } {
  const { tiers, sold, admin, versions } = readTable<PlanTable>(dataDir, "plans", planSchema);
  if (versions[sold] === undefined) {
    throw new ConfigError(`${labelOf(dataDir, "plans")}: sold must be one of the versions, but is ${sold}`);
  }
  if (!Object.hasOwn(versions[sold], admin)) {
    const known = Object.keys(versions[sold]).join(", ");
    throw new ConfigError(`${labelOf(dataDir, "plans")}: admin must be one of ${known}, but is '${admin}'`);
  }
  const plans = Object.entries(versions).flatMap(([version, byId]) =>
    Object.entries(byId).map(([id, plan]) => ({
      id,
      version: Number(version),
      sold: Number(version) === sold,
      ...plan,
    })),
  );
  return { plans, tiers, adminPlan: { id: admin, version: sold } };
}

function readEngines(dataDir: string): { kinds: Record<string, EngineKind>; engines: EngineEntry[] } {
  const table = readTable<EngineTable>(dataDir, "engines", engineSchema);
  for (const kind of Object.values(table.kinds)) kind.worker = resolve(PROJECT, kind.worker!);
  const engines = Object.entries(table.engines).map(([id, engine]) => ({ id, ...engine }));
  for (const { models } of engines) {
    for (const model of models === "all" ? [] : models) {
      if (model.file !== undefined) model.file = resolve(PROJECT, model.file);
    }
  }
  return { kinds: table.kinds, engines };
}

// What must hold between entries

function checkNames(models: ModelRow[], label: string): void {
  const owners = new Map(models.map(({ id }) => [id, id]));
  for (const { id, aliases } of models) {
    for (const [index, alias] of aliases.entries()) {
      const owner = owners.get(alias);
      if (owner !== undefined)
        throw new ConfigError(`${label}: ${id}.aliases[${index}] '${alias}' is taken by ${owner}`);
      owners.set(alias, id);
    }
  }
}

function checkTiers(models: ModelRow[], plans: Plan[], tiers: string[], dataDir: string): void {
  const known = `must be one of ${tiers.join(", ")}`;
  for (const { id, version, ...plan } of plans) {
    const index = plan.tiers.findIndex((tier) => !tiers.includes(tier));
    if (index < 0) continue;
    const at = `versions.${version}.${id}.tiers[${index}]`;
    throw new ConfigError(`${labelOf(dataDir, "plans")}: ${at} ${known}, but is '${plan.tiers[index]}'`);
  }
  for (const { id, tier } of models) {
    if (tiers.includes(tier)) continue;
    throw new ConfigError(`${labelOf(dataDir, "models")}: ${id}.tier ${known} (plans.yaml), but is '${tier}'`);
  }
}

function checkEngines(
  engines: EngineEntry[],
  kinds: Record<string, EngineKind>,
  models: ModelRow[],
  label: string,
): void {
  const ids = models.map(({ id }) => id);
  for (const engine of engines) {
    const refuse = (field: string, text: string) => new ConfigError(`${label}: engines.${engine.id}.${field} ${text}`);
    const kind = Object.hasOwn(kinds, engine.kind) ? kinds[engine.kind] : undefined;
    if (!kind) throw refuse("kind", `must be one of ${Object.keys(kinds).join(", ")}, but is '${engine.kind}'`);
    if (engine.models === "all") {
      if (kind.loadsFiles) throw refuse("models", `must be a list: ${engine.kind} loads a file for each model`);
      continue;
    }
    for (const [index, model] of engine.models.entries()) {
      const at = `models[${index}]`;
      if (!ids.includes(model.id)) {
        const near = nearest(model.id, ids);
        throw refuse(`${at}.id`, `'${model.id}' is not in models.yaml${near ? `; did you mean ${near}?` : ""}`);
      }
      if (kind.loadsFiles && model.file === undefined) {
        throw refuse(`${at}.file`, `is missing; ${engine.kind} loads a file for each model`);
      }
    }
  }
}

/** Nobody who is handed the config can change it for the others. */
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
