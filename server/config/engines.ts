// The engines: those of data/engines.yaml, and over them the operator's own of engines.yaml in the home, which `oxbow
// engines` writes. Read and checked at the start, and again when the operator asks for it.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import engineSchema from "../../data/engines.schema.json" with { type: "json" };
import { checkEngines } from "./cross-checks.ts";
import { freeze, labelOf, PROJECT, readTable } from "./data.ts";
import type { EngineEntry, EngineKind, Model } from "./rows.ts";
import { ConfigError, createTableReader } from "./table.ts";

export interface EngineTable {
  kinds: Record<string, EngineKind>;
  engines: EngineEntry[];
  /** Memories that servers elsewhere share, by name. */
  pools: Record<string, { bytes: number }>;
}

type Row = Omit<EngineEntry, "id">;

interface EngineFile {
  kinds: Record<string, EngineKind>;
  engines: Record<string, Row>;
  pools: Record<string, { bytes: number }>;
}

/** `null`: the engine of that id in data/engines.yaml is not to run. */
export interface OwnEngines {
  engines: Record<string, Row | null>;
}

const readFile = createTableReader<EngineFile>(engineSchema);
const readOwn = createTableReader<OwnEngines>(ownSchema());

/** The same engines without the kinds, and each may be null. */
function ownSchema(): object {
  const { engines } = engineSchema.properties;
  const row = { if: { type: "null" }, else: engines.additionalProperties };
  const own = { type: "object", default: {}, propertyNames: engines.propertyNames, additionalProperties: row };
  return { ...engineSchema, required: [], properties: { engines: own } };
}

export interface EngineSources {
  dataDir: string;
  /** Absolute path of the home. */
  home: string;
  models: readonly Pick<Model, "id" | "aliases" | "tier" | "weights">[];
  /** Where API keys must be; null: that is not looked at. */
  env: Record<string, string | undefined> | null;
  simulate: boolean;
  /** What the file in the home is to hold, in place of what it holds. */
  own?: string;
}

/** @throws ConfigError that names the file, the engine and the field */
export function readEngines({ dataDir, home, models, env, simulate, own }: EngineSources): EngineTable {
  const { kinds, engines: given, pools } = readTable(dataDir, "engines", readFile);
  const label = labelOf(dataDir, "engines");
  const ownLabel = ownFile(home);
  const text = own ?? (existsSync(ownLabel) ? readFileSync(ownLabel, "utf8") : "");
  const mine = text.trim() === "" ? {} : readOwn(ownLabel, text).engines;
  const rows = Object.entries({ ...given, ...mine }).filter((row): row is [string, Row] => row[1] !== null);
  if (rows.length === 0) throw new ConfigError(`${ownLabel}: no engine is left; one at least must run`);
  const engines = rows.map(([id, engine]) => ({ id, ...engine }));
  for (const kind of Object.values(kinds)) {
    if (kind.worker !== undefined) kind.worker = resolve(PROJECT, kind.worker);
  }
  for (const engine of engines) {
    for (const model of engine.models === "all" ? [] : engine.models) {
      if (model.file !== undefined) model.file = resolve(PROJECT, model.file);
    }
  }
  checkEngines({ engines, kinds, pools, models, env }, (id) => (mine[id] ? ownLabel : label));
  const exists = (entry: EngineEntry) => simulate || entry.when === undefined;
  return freeze({ kinds, engines: engines.filter(exists), pools });
}

/** The engines in force. */
export interface Engines {
  table(): EngineTable;
  /**
   * Reads the files again.
   * @param apply makes the new table hold; may throw, and keeps the old one in force with it
   * @throws ConfigError, or what `apply` throws: then nothing has changed
   */
  reload(apply: (table: EngineTable) => void): void;
}

export function createEngines(config: EngineTable & EngineSources): Engines {
  let table: EngineTable = config;
  return {
    table: () => table,
    reload: (apply) => {
      const next = readEngines(config);
      apply(next);
      table = next;
    },
  };
}

/** The operator's own file. */
export function ownFile(home: string): string {
  return join(home, "engines.yaml");
}
