// An engine from its entry in data/engines.yaml: a server that runs elsewhere, with the names it knows our models by and
// the credentials it asks for.

import type { EngineEntry, EngineKind } from "../config.ts";
import { createEngine, type Engine } from "./engine.ts";

/**
 * @param entry with a `url`
 * @param env where the entry's `apiKeyEnv` is looked up
 * @param classes ids of data/queue.yaml, the first goes first
 */
export function createRemoteEngine(
  entry: EngineEntry,
  kind: EngineKind,
  env: Record<string, string | undefined>,
  classes: readonly string[],
): Engine {
  const { id, slots, url, models, apiKeyEnv } = entry;
  if (url === undefined || !kind.remote) throw new Error(`engine ${id} is no remote one`);
  const named = models === "all" ? [] : models;
  return createEngine({
    id,
    kind: entry.kind,
    features: kind.features,
    simulated: kind.simulated,
    slots,
    address: { baseUrl: url },
    remote: kind.remote,
    names: new Map(named.flatMap((model) => (model.name === undefined ? [] : [[model.id, model.name] as const]))),
    apiKey: apiKeyEnv === undefined ? undefined : env[apiKeyEnv],
    classes,
  });
}
