// What the workers of one machine may take of it: threads, which must add up to the cores, and roughly how much memory.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EngineEntry, Model } from "../config.ts";

/**
 * Threads for each local worker, by engine id. What an entry asks for it gets; the others share what is left of the
 * cores, all but one, which serves the gateway; each gets at least one. Threads beyond the cores are worse than none:
 * when every worker took every core, throughput fell to an eighth (measured).
 *
 * @param cores that this process may use
 */
export function threadBudget(entries: readonly Pick<EngineEntry, "id" | "threads">[], cores: number) {
  const asked = entries.reduce((sum, entry) => sum + (entry.threads ?? 0), 0);
  const sharers = entries.filter((entry) => entry.threads === undefined);
  const left = Math.max(0, cores - 1 - asked);
  const share = Math.floor(left / sharers.length);
  const rest = left - share * sharers.length;
  return new Map(
    entries.map((entry) => {
      const shared = share + (sharers.indexOf(entry) < rest ? 1 : 0);
      return [entry.id, entry.threads ?? Math.max(1, shared)];
    }),
  );
}

/**
 * How many of these fit into memory at the same time at most: the small ones first.
 *
 * @param room bytes
 */
export function atOnce(bytes: readonly number[], room: number): number {
  let left = room;
  const fitting = bytes
    .toSorted((a, b) => a - b)
    .filter((each) => {
      left -= each;
      return left >= 0;
    });
  return fitting.length;
}

/** Of a worker with its runtime and libraries, before it has loaded anything: measured, 90 MB for llama. */
const WORKER_BYTES = 90_000_000;

/**
 * Bytes of cache for one token of context, as a share of the weights: language models of 1 to 8 billion parameters in
 * common quantisations need 32 to 128 KiB a token (layers × key-value heads × head size × 2 × 16 bits), one part in 34,000
 * of their files; larger ones less, one part in 125,000 at 70 billion. So this guess errs towards too much.
 */
const WEIGHTS_PER_CACHED_TOKEN = 34_000;

/**
 * Memory that an engine's worker will take, for the plan at start-up: weights, and the cache of a full context in every
 * slot. Rough: within a factor of two for language models. A file that is not there counts nothing; its worker will say so.
 */
export function estimateBytes(entry: Pick<EngineEntry, "models" | "slots">, models: readonly Model[]): number {
  let bytes = WORKER_BYTES;
  for (const { id, file } of entry.models === "all" ? [] : entry.models) {
    if (file === undefined) continue;
    const weights = partsOf(file).reduce((sum, part) => sum + sizeOf(part), 0);
    const contextTokens = models.find((model) => model.id === id)?.contextTokens ?? 0;
    bytes += weights + (weights / WEIGHTS_PER_CACHED_TOKEN) * contextTokens * entry.slots;
  }
  return Math.round(bytes);
}

function sizeOf(file: string): number {
  try {
    const found = statSync(file);
    if (!found.isDirectory()) return found.size;
    return readdirSync(file).reduce((sum, name) => sum + sizeOf(join(file, name)), 0);
  } catch {
    return 0; // not there, not readable, a link to itself: for the worker to say
  }
}

/** A large GGUF comes in parts; an engine names the first, and the others lie beside it. */
function partsOf(file: string): string[] {
  const [, name, count] = /^(.*)-00001-of-(\d{5})\.gguf$/.exec(file) ?? [];
  if (count === undefined) return [file];
  return Array.from(
    { length: Number(count) },
    (_, at) => `${name}-${String(at + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
}
