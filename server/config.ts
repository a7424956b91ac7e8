// The only file that reads the environment and data/. Checks both, and hands out one frozen value; whatever is wrong
// there ends the start in a single line that says where, and what it must be.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import engineSchema from "../data/engines.schema.json" with { type: "json" };
import modelSchema from "../data/models.schema.json" with { type: "json" };
import planSchema from "../data/plans.schema.json" with { type: "json" };
import queueSchema from "../data/queue.schema.json" with { type: "json" };
import project from "../package.json" with { type: "json" };
import { checkEngines, checkNames, checkTiers } from "./config/cross-checks.ts";
import type { Limits } from "./config/limits.ts";
import { loadPlace, loadSettings, type Place, type Settings, type SettingsOptions } from "./config/settings.ts";
import { ConfigError, createTableReader, type TableReader } from "./config/table.ts";

export { ConfigError, type Limits, loadPlace, type Place };

export interface Config extends Settings {
  version: string;
  models: Model[];
  plans: Plan[];
  /** The plan of the account that the operator's own keys belong to. */
  adminPlan: { id: string; version: number };
  kinds: Record<string, EngineKind>;
  engines: EngineEntry[];
  /** The first goes first. */
  queue: QueueClass[];
}

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

/** A class of callers in the line of a model. */
export interface QueueClass {
  id: string;
  /** The share of all that goes, 0 to 0.2, which the class gets while it waits. */
  floor: number;
  /** Calls that may wait. */
  depthMax: number;
  /** How long each may wait. */
  waitMsMax: number;
}

export interface ConfigOptions extends SettingsOptions {
  /** A folder with the operator's own tables, in place of `OXBOW_DATA`. */
  dataDir?: string | undefined;
}

/** @throws ConfigError */
export function loadConfig(options: ConfigOptions): Config {
  const settings = loadSettings(options);
  const dataDir = options.dataDir ?? options.env.OXBOW_DATA ?? "";
  const models = rowsOf(readTable(dataDir, "models", readModels));
  const { tiers, plans, adminPlan } = plansOf(dataDir, readTable(dataDir, "plans", readPlans));
  const { kinds, engines } = enginesOf(readTable(dataDir, "engines", readEngines));
  const queue = queueOf(readTable(dataDir, "queue", readQueue), settings.limits);
  checkNames(models, labelOf(dataDir, "models"));
  checkTiers({ models, plans, tiers }, (table) => labelOf(dataDir, table));
  checkEngines({ engines, kinds, models }, labelOf(dataDir, "engines"));
  const exists = (entry: { when?: "simulate" }) => settings.simulate || entry.when === undefined;
  return freeze({
    version: project.version,
    ...settings,
    models: models.filter(exists).map(modelOf),
    plans,
    adminPlan,
    kinds,
    engines: engines.filter(exists),
    queue,
  });
}

const PROJECT = resolve(import.meta.dir, "..");

/** The name of a table in messages: `data/models.yaml`, or the path of the operator's own. */
function labelOf(dataDir: string, table: string): string {
  return join(dataDir || "data", `${table}.yaml`);
}

function readTable<T>(dataDir: string, table: string, read: TableReader<T>): T {
  const label = labelOf(dataDir, table);
  let text: string;
  try {
    text = readFileSync(resolve(dataDir || join(PROJECT, "data"), `${table}.yaml`), "utf8");
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new ConfigError(`${label}: ${missing ? "there is no such file" : `cannot be read: ${cause}`}`);
  }
  return read(label, text);
}

type ModelRow = Omit<Model, "created"> & { released?: string; when?: "simulate"; source: string[]; read: string };
interface PlanTable {
  tiers: string[];
  sold: number;
  admin: string;
  versions: Record<string, Record<string, Omit<Plan, "id" | "version" | "sold">>>;
}
interface EngineTable {
  kinds: Record<string, EngineKind>;
  engines: Record<string, Omit<EngineEntry, "id">>;
}
interface QueueTable {
  classes: Record<string, Omit<QueueClass, "id">>;
}

const readModels = createTableReader<Record<string, Omit<ModelRow, "id">>>(modelSchema);
const readPlans = createTableReader<PlanTable>(planSchema);
const readEngines = createTableReader<EngineTable>(engineSchema);
const readQueue = createTableReader<QueueTable>(queueSchema);

function rowsOf(table: Record<string, Omit<ModelRow, "id">>): ModelRow[] {
  return Object.entries(table).map(([id, row]) => ({ id, ...row }));
}

function modelOf({ released, when: _, source: __, read: ___, ...model }: ModelRow): Model {
  return { ...model, created: released === undefined ? 0 : Date.parse(released) / 1000 };
}

function plansOf(dataDir: string, table: PlanTable): Pick<Config, "plans" | "adminPlan"> & { tiers: string[] } {
  const { tiers, sold, admin, versions } = table;
  const refuse = (field: string, known: object, value: unknown) => {
    const text = `${field} must be one of ${Object.keys(known).join(", ")}, but is ${value}`;
    return new ConfigError(`${labelOf(dataDir, "plans")}: ${text}`);
  };
  const current = versions[sold];
  if (current === undefined) throw refuse("sold", versions, sold);
  if (!Object.hasOwn(current, admin)) throw refuse("admin", current, `'${admin}'`);
  const plans = Object.entries(versions).flatMap(([year, byId]) => {
    const version = Number(year);
    return Object.entries(byId).map(([id, plan]) => ({ id, version, sold: version === sold, ...plan }));
  });
  return { tiers, plans, adminPlan: { id: admin, version: sold } };
}

function enginesOf(table: EngineTable): { kinds: Record<string, EngineKind>; engines: EngineEntry[] } {
  for (const kind of Object.values(table.kinds)) kind.worker = resolve(PROJECT, kind.worker!);
  const engines = Object.entries(table.engines).map(([id, engine]) => ({ id, ...engine }));
  for (const { models } of engines) {
    for (const model of models === "all" ? [] : models) {
      if (model.file !== undefined) model.file = resolve(PROJECT, model.file);
    }
  }
  return { kinds: table.kinds, engines };
}

/** The table says what is fair, the environment what this machine can bear. */
function queueOf({ classes }: QueueTable, { queueDepthMax, queueWaitMsMax }: Limits): QueueClass[] {
  return Object.entries(classes).map(([id, { floor, depthMax, waitMsMax }]) => ({
    id,
    floor,
    depthMax: Math.min(depthMax, queueDepthMax),
    waitMsMax: Math.min(waitMsMax, queueWaitMsMax),
  }));
}

/** Nobody who is handed the config can change it for the others. */
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
