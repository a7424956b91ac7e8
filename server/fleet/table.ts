// What the table of engines says about which models each of them serves, and what a change of it means for one that runs.

import type { WorkerModel } from "@oxbow/contract";
import type { EngineEntry, EngineKind, Model } from "../config.ts";
import type { Replica } from "./replica.ts";

export interface EngineTable {
  engines: readonly EngineEntry[];
  kinds: Readonly<Record<string, EngineKind>>;
  /** Bytes of the memories that servers elsewhere share, by name. */
  pools?: Readonly<Record<string, { bytes: number }>>;
}

/** For models of which nobody has published it: enough for any prompt that is sent to try them. */
const CONTEXT_TOKENS_UNKNOWN = 8_192;

/** Ids of the models that calls go to an engine for. "all": every model that no other engine names. */
export function servedIds(entry: EngineEntry, engines: readonly EngineEntry[], models: readonly Model[]): string[] {
  if (entry.models !== "all") return entry.models.map(({ id }) => id);
  const named = new Set(engines.flatMap((other) => (other.models === "all" ? [] : other.models.map(({ id }) => id))));
  return models.filter(({ id }) => !named.has(id)).map(({ id }) => id);
}

/**
 * The same as a worker needs to know them.
 * @throws Error when one is not in the catalogue
 */
export function workerModels(
  entry: EngineEntry,
  engines: readonly EngineEntry[],
  models: readonly Model[],
): WorkerModel[] {
  const files = new Map(entry.models === "all" ? [] : entry.models.map(({ id, file }) => [id, file]));
  return servedIds(entry, engines, models).map((hosted) => {
    const model = models.find(({ id }) => id === hosted);
    if (model === undefined) throw new Error(`engine ${entry.id}: the model ${hosted} is not in the catalogue`);
    const { id, aliases, category, capabilities, contextTokens, dimensions } = model;
    const { embedding, detection, diffusion, images, transcription, speech } = model;
    const file = files.get(id);
    return {
      id,
      aliases,
      category,
      capabilities,
      contextTokens: contextTokens ?? CONTEXT_TOKENS_UNKNOWN,
      ...(dimensions !== undefined && { dimensions }),
      ...(embedding && { embedding }),
      ...(diffusion && { diffusion }),
      ...(detection && { detection }),
      ...(images && { images }),
      ...(transcription && { transcription }),
      ...(speech && { speech }),
      ...(file === undefined ? {} : { file }),
    };
  });
}

/**
 * Whether the new entry needs another engine than the one that runs. What is only about who gets how many calls does not.
 * An engine for all other models stays as it is while it knows all that are left for it.
 */
export function replaces(
  { entry, host }: Replica,
  next: EngineEntry,
  from: EngineTable,
  to: EngineTable,
  models: readonly Model[],
): boolean {
  if (!Bun.deepEquals(from.kinds[entry.kind], to.kinds[next.kind])) return true;
  if (!Bun.deepEquals(essence(entry), essence(next))) return true;
  // A worker was told how many calls to take at once.
  if (entry.slots !== next.slots && next.url === undefined) return true;
  const known = new Set(host.models.map(({ id }) => id));
  return servedIds(next, to.engines, models).some((id) => !known.has(id));
}

function essence({ id, kind, url, models, apiKeyEnv, threads, pool, options }: EngineEntry) {
  return { id, kind, url, models, apiKeyEnv, threads, pool, options };
}
