// What serves a model, seen from outside: one thing, however many engines there are.

import type { Engine } from "../engines/engines.ts";
import type { Replica } from "./replica.ts";

export interface Served {
  /** What every one of its engines carries of the wire. */
  readonly features: ReadonlySet<string>;
  /** Whether an answer may be made up. */
  readonly simulated: boolean;
  /** Several engines serve it: where one takes no more, another one may. */
  readonly shared?: boolean;
  /** As an engine's `count`; null: none of them can. */
  readonly count: Engine["count"];
}

/** @returns null when there is none */
export function servedBy(replicas: readonly Replica[]): Served | null {
  return replicas.length === 1 ? replicas[0]!.host.engine : servedByAll(replicas);
}

function servedByAll(replicas: readonly Replica[]): Served | null {
  const engines = replicas.map(({ host }) => host.engine);
  const [first, ...rest] = engines;
  if (first === undefined) return null;
  if (rest.length === 0) return first;
  const warm = replicas.find(({ host }) => host.engine.count !== null && host.state().state === "warm");
  return {
    shared: true,
    features: featuresOf(engines),
    simulated: engines.some(({ simulated }) => simulated),
    count: warm?.host.engine.count ?? null,
  };
}

/** The same set for the same engines, so that who keeps something by it finds it again. */
function featuresOf(engines: readonly Engine[]): ReadonlySet<string> {
  const [first, ...rest] = engines;
  const all = first!.features;
  const same = rest.every(({ features }) => features.size === all.size && [...features].every((name) => all.has(name)));
  if (same) return all;
  return new Set([...all].filter((name) => rest.every(({ features }) => features.has(name))));
}
