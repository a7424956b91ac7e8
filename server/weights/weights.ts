// Weights of models on this machine's disk: brought from the hub into the cache that other programs share, listed, found
// for the workers that load them, removed. What loads them and when is the fleet's affair.

import type { Model } from "../config.ts";
import { listCache, type Pulled, removeRepository, removeSets } from "./cache.ts";
import { WeightsError } from "./errors.ts";
import { createHub } from "./hub.ts";
import { createNotes, isWhole, type Note } from "./note.ts";
import { type Clock, realClock } from "./persist.ts";
import { type Environment, placeOf } from "./place.ts";
import { loadablePath, type PullEvent, pull } from "./pull.ts";
import { type Format, targetOf, targetOfModel } from "./wanted.ts";

export type { Pulled } from "./cache.ts";
export { WeightsError, type WeightsProblem } from "./errors.ts";
export type { PullEvent } from "./pull.ts";
export type { Format } from "./wanted.ts";

export interface Weights {
  /**
   * Brings the weights of a model: id or alias of the catalogue, or `owner/name` of the hub, with `:` and a file or a
   * quantisation behind it. What is there already is not brought again.
   *
   * @returns what `pathOf` then says
   * @throws WeightsError; the signal's reason when it fires. What has arrived is kept.
   */
  pull(name: string, options?: PullCall): Promise<string>;
  /**
   * Absolute path of the pulled weights of a model of the catalogue: of the file, or of the folder when they are several;
   * of a GGUF in parts, the first. Null when not all of it is there.
   * @param format absent: any
   */
  pathOf(modelId: string, format?: Format): string | null;
  list(): Pulled[];
  /**
   * @param options.all of `owner/name`, all that is there, also what other programs pulled
   * @returns bytes that are free now
   * @throws WeightsError when there is nothing of it
   */
  remove(name: string, options?: { all?: boolean }): number;
  /** Absolute path of the shared cache. */
  readonly cache: string;
}

export interface PullCall {
  format?: Format | undefined;
  signal?: AbortSignal | undefined;
  onProgress?(event: PullEvent): void;
}

export interface WeightsOptions {
  /** Where it is noted what was pulled. */
  home: string;
  /** HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and the like. */
  env: Environment;
  models: readonly Model[];
  /** Silence after which a connection counts as dead. */
  stallMsMax: number;
  clock?: Clock;
}

/** @throws WeightsError when the environment names no hub */
export function createWeights({ home, env, models, stallMsMax, clock = realClock }: WeightsOptions): Weights {
  const place = placeOf(env);
  const { cache } = place;
  const hub = createHub(place, clock);
  const notes = createNotes(home);

  /** Sets that were pulled for a name; with a file, that one alone. */
  function setsOf(name: string): Note[] {
    const target = targetOf(name, models);
    const all = notes.all().filter((note) => note.repository === target.repository);
    return name.includes(":") ? all.filter(({ file }) => file === target.file) : all;
  }

  return {
    cache,

    async pull(name, { format, signal, onProgress = () => {} } = {}) {
      const target = targetOf(name, models, format);
      const note = await pull({ target, hub, cache, notes, stallMsMax, clock, signal, onProgress });
      return loadablePath(note, cache);
    },

    pathOf(modelId, format) {
      const model = models.find(({ id }) => id === modelId);
      if (!model?.weights) return null;
      const wanted = formatsOf(model).filter((each) => format === undefined || each === format);
      for (const target of wanted.map((each) => targetOfModel(model, each))) {
        const exact = notes.read(target);
        // Next to best: another quantisation of the same weights.
        const others = notes.all().filter(({ repository }) => repository === target.repository);
        const whole = [exact, ...others].find((note) => note !== null && isWhole(note, cache));
        if (whole) return loadablePath(whole, cache);
      }
      return null;
    },

    list: () => listCache(cache, notes, models),

    remove(name, { all = false } = {}) {
      const { repository } = targetOf(name, models);
      if (all) return removeRepository(cache, notes, repository);
      const sets = setsOf(name);
      if (sets.length > 0) return removeSets(cache, notes, sets);
      const there = listCache(cache, notes, models).some((each) => each.repository === repository);
      const ours = notes.all().some((note) => note.repository === repository);
      const text =
        there && !ours
          ? `Oxbow did not pull ${name}, another program did. --all removes all of ${repository} from the shared cache.`
          : `Nothing of ${name} is in the cache (${cache}).`;
      throw new WeightsError("unknown", text);
    },
  };
}

/** On the hub, what runs here first. */
function formatsOf({ weights }: Model): Format[] {
  const formats: Format[] = [];
  if (weights?.gguf) formats.push("gguf");
  if (weights?.onnx) formats.push("onnx");
  if (weights?.hub !== undefined && !formats.includes(weights.format)) formats.push(weights.format);
  return formats;
}
