// What must hold between entries of the tables, each of which is fine by itself.

import { ConfigError, nearest } from "./table.ts";

interface ModelNames {
  id: string;
  aliases: string[];
  tier: string;
}

/** Every name leads to one model. */
export function checkNames(models: ModelNames[], file: string): void {
  const owners = new Map(models.map(({ id }) => [id, id]));
  for (const { id, aliases } of models) {
    for (const [index, alias] of aliases.entries()) {
      const owner = owners.get(alias);
      if (owner !== undefined)
        throw new ConfigError(`${file}: ${id}.aliases[${index}] '${alias}' is taken by ${owner}`);
      owners.set(alias, id);
    }
  }
}

interface Tiered {
  models: readonly ModelNames[];
  plans: { id: string; version: number; tiers: string[] }[];
  tiers: string[];
}

/** Plans and models speak of the same tiers. */
export function checkTiers({ models, plans, tiers }: Tiered, fileOf: (table: string) => string): void {
  const rule = `must be one of ${tiers.join(", ")}`;
  for (const plan of plans) {
    const index = plan.tiers.findIndex((tier) => !tiers.includes(tier));
    if (index < 0) continue;
    const at = `versions.${plan.version}.${plan.id}.tiers[${index}]`;
    throw new ConfigError(`${fileOf("plans")}: ${at} ${rule}, but is '${plan.tiers[index]}'`);
  }
  for (const { id, tier } of models) {
    if (!tiers.includes(tier))
      throw new ConfigError(`${fileOf("models")}: ${id}.tier ${rule} (plans.yaml), but is '${tier}'`);
  }
}

interface Fleet {
  engines: EngineRow[];
  kinds: Record<string, KindRow>;
  models: readonly (ModelNames & { weights: PulledFrom | null })[];
  pools?: Record<string, { bytes: number }>;
  /** Where API keys must be; null: that is not looked at. */
  env: Record<string, string | undefined> | null;
}

interface EngineRow {
  id: string;
  kind: string;
  url?: string;
  models: { id: string; name?: string; file?: string }[] | "all";
  apiKeyEnv?: string;
  memoryBytes?: number;
  pool?: string;
  when?: "simulate";
}

interface PulledFrom {
  hub?: string;
  format: string;
  gguf?: object;
  onnx?: object;
}

interface KindRow {
  worker?: string;
  loadsFiles: boolean;
  format?: string;
  remote?: {
    sleep?: object;
    refusals: { text: string }[];
    priority?: { field?: string; order?: string; header?: string };
  };
}

/**
 * Engines are of known kinds, and host known models with what their kind needs.
 * @param fileOf where an engine stands; for "" where the kinds stand
 */
export function checkEngines(
  { engines, kinds, models, env, pools = {} }: Fleet,
  fileOf: (engine: string) => string,
): void {
  for (const [name, kind] of Object.entries(kinds)) checkKind(name, kind, fileOf(""));
  const ids = models.map(({ id }) => id);
  for (const engine of engines) {
    const refuse = (field: string, text: string) =>
      new ConfigError(`${fileOf(engine.id)}: engines.${engine.id}.${field} ${text}`);
    const kind = Object.hasOwn(kinds, engine.kind) ? kinds[engine.kind] : undefined;
    if (!kind) throw refuse("kind", `must be one of ${Object.keys(kinds).join(", ")}, but is '${engine.kind}'`);
    checkAddress(engine, kind, env, refuse);
    checkPool(engine, kind, pools, refuse);
    if (engine.models === "all") {
      if (kind.loadsFiles) throw refuse("models", `must be a list: ${engine.kind} loads a file for each model`);
      continue;
    }
    for (const [index, { id, name, file: weights }] of engine.models.entries()) {
      if (!ids.includes(id)) {
        const near = nearest(id, ids);
        throw refuse(`models[${index}].id`, `'${id}' is not in models.yaml${near ? `; did you mean ${near}?` : ""}`);
      }
      if (kind.loadsFiles && weights === undefined && !canBePulled(models[ids.indexOf(id)]!, kind)) {
        const why = `is missing; ${engine.kind} loads a file for each model, and the catalogue does not say where to pull one`;
        throw refuse(`models[${index}].file`, why);
      }
      if (kind.remote && weights !== undefined) {
        throw refuse(`models[${index}].file`, `is not known here: the weights of ${engine.kind} are its own affair`);
      }
      if (!kind.remote && name !== undefined) {
        throw refuse(`models[${index}].name`, `is for engines with a url: a worker is told our id`);
      }
    }
  }
}

/** Whether the catalogue knows its weights on the hub in the format that the kind loads. */
function canBePulled({ weights }: { weights: PulledFrom | null }, { format }: KindRow): boolean {
  if (format === undefined || weights === null) return false;
  const converted = format === "gguf" ? weights.gguf : format === "onnx" ? weights.onnx : undefined;
  return converted !== undefined || (weights.hub !== undefined && weights.format === format);
}

function checkPool(
  { pool, memoryBytes }: EngineRow,
  kind: KindRow,
  pools: Record<string, { bytes: number }>,
  refuse: (field: string, text: string) => ConfigError,
): void {
  if (pool === undefined) {
    if (kind.remote && memoryBytes !== undefined)
      throw refuse("memoryBytes", "is for workers, and for engines with a pool");
    return;
  }
  if (!kind.remote?.sleep) throw refuse("pool", "is for engines that can sleep: their kind has remote.sleep");
  const names = Object.keys(pools);
  if (!names.includes(pool)) throw refuse("pool", `must be one of the pools (${names.join(", ") || "there are none"})`);
}

function checkKind(name: string, { worker, remote }: KindRow, file: string): void {
  const refuse = (text: string) => new ConfigError(`${file}: kinds.${name}${text}`);
  if ((worker === undefined) === (remote === undefined)) throw refuse(" must have either a worker or remote");
  const { field, order, header } = remote?.priority ?? { header: "none" };
  if ((field === undefined) === (header === undefined)) {
    throw refuse(".remote.priority must have either a field or a header");
  }
  if (field !== undefined && order === undefined) throw refuse(".remote.priority.order is missing");
  for (const [index, { text }] of remote?.refusals.entries() ?? []) {
    try {
      new RegExp(text, "i");
    } catch {
      throw refuse(`.remote.refusals[${index}].text must be a regular expression`);
    }
  }
}

function checkAddress(
  { kind: kindName, url, apiKeyEnv, when }: EngineRow,
  kind: KindRow,
  env: Fleet["env"],
  refuse: (field: string, text: string) => ConfigError,
): void {
  if (kind.remote && url === undefined) throw refuse("url", `is missing; ${kindName} runs elsewhere`);
  if (!kind.remote && url !== undefined) throw refuse("url", `is not known here: ${kindName} runs as a worker`);
  if (apiKeyEnv === undefined || when !== undefined) return;
  if (!kind.remote) throw refuse("apiKeyEnv", "is for engines with a url");
  if (env !== null && !env[apiKeyEnv])
    throw refuse("apiKeyEnv", `names ${apiKeyEnv}, which the environment does not have`);
}
