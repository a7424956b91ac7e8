// What engines take of memory and cores: workers that of this machine, servers elsewhere that of a pool they share. Who has
// it at the moment is decided in residency.ts; what weights take, in budget.ts.

import { availableParallelism } from "node:os";
import type { EngineEntry } from "../config.ts";
import { atOnce, estimateBytes, threadBudget } from "./budget.ts";
import type { FleetOptions } from "./options.ts";
import type { EngineTable } from "./table.ts";

/** The pool of everything that runs here. */
export const MACHINE = "";

/** @param table the one in force */
export function createMemory(
  options: Pick<FleetOptions, "memoryBytes" | "weightsOf" | "models" | "cores">,
  table: () => EngineTable,
) {
  /** Infinity: as much as it takes. */
  function poolBytes(pool: string): number {
    if (pool === MACHINE) return options.memoryBytes ?? Number.POSITIVE_INFINITY;
    return table().pools?.[pool]?.bytes ?? Number.POSITIVE_INFINITY;
  }

  /** A server that shares a pool and does not say how much it takes has all of it while it is awake. */
  function bytesOf(entry: EngineEntry): number {
    if (entry.memoryBytes !== undefined) return entry.memoryBytes;
    if (entry.pool !== undefined) return poolBytes(entry.pool);
    return estimateBytes(withWeights(entry), options.models);
  }

  /** The entry with the files that were pulled for it. */
  function withWeights(entry: EngineEntry): EngineEntry {
    const kind = table().kinds[entry.kind];
    if (entry.models === "all" || !kind?.loadsFiles) return entry;
    const models = entry.models.map((model) => {
      const file = model.file ?? options.weightsOf?.(model.id, kind.format) ?? undefined;
      return file === undefined ? model : { ...model, file };
    });
    return { ...entry, models };
  }

  /** Of its cores, for a worker. @param from the table that it is in */
  function threadsOf(entry: EngineEntry, { engines, kinds }: EngineTable): number {
    const here = engines.filter(({ kind }) => kinds[kind]?.worker !== undefined);
    const pinned = here.filter((each) => each.pinned);
    const room = poolBytes(MACHINE) - pinned.reduce((sum, each) => sum + bytesOf(each), 0);
    // Those that are never loaded together need not share the cores.
    const others = here.filter((each) => !each.pinned && each !== entry);
    const together = atOnce([...others, ...(entry.pinned ? [] : [entry])].map(bytesOf), room);
    const beside = others.slice(0, Math.max(0, together - (entry.pinned ? 0 : 1)));
    const sharers = entry.pinned ? [...pinned, ...beside] : [entry, ...pinned, ...beside];
    return threadBudget(sharers, options.cores ?? availableParallelism()).get(entry.id) ?? 1;
  }

  return { poolBytes, bytesOf, threadsOf };
}
