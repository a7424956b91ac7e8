// The only file that reads the environment and data/. Checks both, and hands out one frozen value; whatever is wrong
// there ends the start in a single line that says where, and what it must be.

import modelSchema from "../data/models.schema.json" with { type: "json" };
import queueSchema from "../data/queue.schema.json" with { type: "json" };
import project from "../package.json" with { type: "json" };
import { checkNames } from "./config/cross-checks.ts";
import { freeze, labelOf, readTable } from "./config/data.ts";
import { createEngines, type Engines, type EngineTable, ownFile, readEngines } from "./config/engines.ts";
import type { Limits } from "./config/limits.ts";
import { createPlans, type PlanRef, type Plans, type PlanTable, readPlans } from "./config/plans.ts";
import type { EngineEntry, EngineKind, Model, QueueClass, TrafficTable } from "./config/rows.ts";
import { loadPlace, loadSettings, type Place, type Settings, type SettingsOptions } from "./config/settings.ts";
import { ConfigError, createTableReader } from "./config/table.ts";
import { readTraffic } from "./config/traffic.ts";

export type * from "./config/rows.ts";
export {
  ConfigError,
  createEngines,
  createPlans,
  type Engines,
  type EngineTable,
  type Limits,
  loadPlace,
  ownFile,
  type Place,
  type PlanRef,
  type Plans,
  type PlanTable,
  readEngines,
  readTraffic,
};

/** The plans in it are those of the start: `createPlans` has those in force. */
export interface Config extends Settings, PlanTable {
  version: string;
  /** Where the tables are; "": the project's own. */
  dataDir: string;
  models: Model[];
  kinds: Record<string, EngineKind>;
  engines: EngineEntry[];
  /** Memories that servers elsewhere share, by name. */
  pools: Record<string, { bytes: number }>;
  /** The first goes first. */
  queue: QueueClass[];
  /** That of the start. */
  traffic: TrafficTable;
}

export interface ConfigOptions extends SettingsOptions {
  /** A folder with the operator's own tables, in place of `OXBOW_DATA`. */
  dataDir?: string | undefined;
  /** For a command beside the server: what the server's environment says, keys of engines above all, is not known here. */
  keysElsewhere?: boolean;
}

/** @throws ConfigError */
export function loadConfig(options: ConfigOptions): Config {
  const settings = loadSettings(options);
  const dataDir = options.dataDir ?? options.env.OXBOW_DATA ?? "";
  const models = rowsOf(readTable(dataDir, "models", readModels));
  const plans = readPlans(dataDir, models);
  const queue = queueOf(readTable(dataDir, "queue", readQueue), settings.limits);
  checkNames(models, labelOf(dataDir, "models"));
  const beside = options.keysElsewhere === true;
  const sources = { ...settings, dataDir, models, env: beside ? null : options.env };
  const { kinds, engines, pools } = readEngines(sources);
  const served = models.filter((row) => settings.simulate || row.when === undefined).map(modelOf);
  // Whether the server simulates is not known beside it: there a table may name what only a simulation has.
  const known = beside
    ? { models, engines: readEngines({ ...sources, simulate: true }).engines }
    : { models: served, engines };
  return freeze({
    version: project.version,
    dataDir,
    ...settings,
    ...plans,
    models: served,
    traffic: readTraffic(dataDir, known.models, known.engines),
    kinds,
    pools,
    engines,
    queue,
  });
}

type ModelRow = Omit<Model, "created"> & { released?: string; when?: "simulate"; source: string[]; read: string };
interface QueueTable {
  classes: Record<string, Omit<QueueClass, "id">>;
}

const readModels = createTableReader<Record<string, Omit<ModelRow, "id">>>(modelSchema);
const readQueue = createTableReader<QueueTable>(queueSchema);

function rowsOf(table: Record<string, Omit<ModelRow, "id">>): ModelRow[] {
  return Object.entries(table).map(([id, row]) => ({ id, ...row }));
}

function modelOf({ released, when: _, source: __, read: ___, ...model }: ModelRow): Model {
  return { ...model, created: released === undefined ? 0 : Date.parse(released) / 1000 };
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
