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
  engines: { id: string; kind: string; models: { id: string; file?: string }[] | "all" }[];
  kinds: Record<string, { loadsFiles: boolean }>;
  models: ModelNames[];
}

/** Engines are of known kinds, and host known models with what their kind needs. */
export function checkEngines({ engines, kinds, models }: Fleet, file: string): void {
  const ids = models.map(({ id }) => id);
  for (const engine of engines) {
    const refuse = (field: string, text: string) => new ConfigError(`${file}: engines.${engine.id}.${field} ${text}`);
    const kind = Object.hasOwn(kinds, engine.kind) ? kinds[engine.kind] : undefined;
    if (!kind) throw refuse("kind", `must be one of ${Object.keys(kinds).join(", ")}, but is '${engine.kind}'`);
    if (engine.models === "all") {
      if (kind.loadsFiles) throw refuse("models", `must be a list: ${engine.kind} loads a file for each model`);
      continue;
    }
    for (const [index, { id, file: weights }] of engine.models.entries()) {
      if (!ids.includes(id)) {
        const near = nearest(id, ids);
        throw refuse(`models[${index}].id`, `'${id}' is not in models.yaml${near ? `; did you mean ${near}?` : ""}`);
      }
      if (kind.loadsFiles && weights === undefined) {
        throw refuse(`models[${index}].file`, `is missing; ${engine.kind} loads a file for each model`);
      }
    }
  }
}
