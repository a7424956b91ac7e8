// What is in the shared cache, and taking weights out of it again. Other programs keep theirs beside ours: only what Oxbow
// pulled is removed, unless the whole repository is asked for, and no blob that anything else still leads to.

import { lstatSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Model } from "../config.ts";
import { WeightsError } from "./errors.ts";
import { type Layout, layoutOf, repositoryOf, sizeOf } from "./layout.ts";
import { tryLock } from "./lock.ts";
import { bytesOf, isWhole, type Note, type Notes, namesIn } from "./note.ts";

export interface Pulled {
  /** `owner/name` */
  repository: string;
  /** Models of the catalogue that have their weights there. */
  models: string[];
  /** What Oxbow pulled from it: for each set, the files. */
  sets: {
    /** The file, or the sort of files. */
    weights: string;
    commit: string;
    bytes: number;
    bytesTotal: number;
    complete: boolean;
  }[];
  /** Bytes on disk of all that is there, whoever pulled it. */
  bytes: number;
}

export function listCache(cache: string, notes: Notes, models: readonly Model[]): Pulled[] {
  const all = notes.all();
  return namesIn(cache)
    .map(repositoryOf)
    .filter((repository) => repository !== null)
    .toSorted()
    .map((repository) => {
      const layout = layoutOf(cache, repository);
      const own = all.filter((note) => note.repository === repository);
      return {
        repository,
        models: models.filter((model) => hubsOf(model).includes(repository)).map(({ id }) => id),
        sets: own.map((note) => setOf(note, layout)),
        bytes: sizeOfBlobs(layout),
      };
    });
}

function hubsOf({ weights }: Model): (string | undefined)[] {
  return [weights?.hub, weights?.gguf?.hub, weights?.onnx?.hub];
}

function setOf(note: Note, layout: Layout) {
  const { format, commit, files } = note;
  const weights = files.find(({ path }) => path.endsWith(".gguf"))?.path ?? format ?? "files";
  const bytesTotal = files.reduce((sum, { bytes }) => sum + bytes, 0);
  return { weights, commit, bytes: bytesOf(note, layout), bytesTotal, complete: isWhole(note, layout.cache) };
}

function sizeOfBlobs(layout: Layout): number {
  const folder = join(layout.folder, "blobs");
  return namesIn(folder).reduce((sum, name) => sum + (sizeOf(join(folder, name)) ?? 0), 0);
}

/**
 * Removes the files of these sets.
 * @returns bytes that are free now
 * @throws WeightsError while one of them is being pulled
 */
export function removeSets(cache: string, notes: Notes, sets: readonly Note[]): number {
  let freed = 0;
  for (const note of sets) {
    const layout = layoutOf(cache, note.repository);
    refuseWhilePulled(layout, note);
    const others = notes.all().filter((other) => other.repository === note.repository && !isSame(other, note));
    const needed = new Set(others.flatMap(({ commit, files }) => files.map(({ path }) => `${commit}/${path}`)));
    notes.remove(note);
    for (const { path } of note.files) {
      if (needed.has(`${note.commit}/${path}`)) continue;
      const link = join(layout.snapshot(note.commit), path);
      rmSync(link, { force: true });
      removeEmpty(dirname(link), layout.folder);
    }
    const linked = linkedBlobs(layout);
    const awaited = new Set(others.flatMap(({ files }) => files.map(({ oid }) => oid)));
    for (const { oid } of note.files) {
      if (linked.has(oid) || awaited.has(oid)) continue;
      for (const path of [layout.blob(oid), layout.incomplete(oid)]) {
        freed += sizeOf(path) ?? 0;
        rmSync(path, { force: true });
      }
      rmSync(layout.lock(oid), { force: true });
    }
    if (namesIn(join(layout.folder, "snapshots")).length === 0 && awaited.size === 0) freed += removeFolder(layout);
  }
  return freed;
}

/** Removes all of a repository, whoever pulled it. */
export function removeRepository(cache: string, notes: Notes, repository: string): number {
  const layout = layoutOf(cache, repository);
  const own = notes.all().filter((note) => note.repository === repository);
  for (const note of own) refuseWhilePulled(layout, note);
  for (const note of own) notes.remove(note);
  return removeFolder(layout);
}

function removeFolder(layout: Layout): number {
  const bytes = sizeOfBlobs(layout);
  rmSync(layout.folder, { recursive: true, force: true });
  rmSync(dirname(layout.lock("x")), { recursive: true, force: true });
  return bytes;
}

function refuseWhilePulled(layout: Layout, note: Note): void {
  for (const { oid } of note.files) {
    const lock = tryLock(layout.lock(oid));
    if (lock === null) throw new WeightsError("cache", `${note.repository} is being pulled by another process.`);
    lock.release();
  }
}

function isSame(a: Note, b: Note): boolean {
  return a.revision === b.revision && a.format === b.format && a.file === b.file;
}

/** Names of the blobs that a snapshot leads to. */
function linkedBlobs(layout: Layout): Set<string> {
  const found = new Set<string>();
  const walk = (folder: string) => {
    for (const name of namesIn(folder)) {
      const path = join(folder, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory()) walk(path);
      else if (stat?.isSymbolicLink()) found.add(basename(readlinkSync(path)));
    }
  };
  walk(join(layout.folder, "snapshots"));
  return found;
}

/** Folders that hold nothing any more, from `folder` up to `top`. */
function removeEmpty(folder: string, top: string): void {
  for (let at = folder; at !== top && at.startsWith(top) && basename(at) !== "snapshots"; at = dirname(at)) {
    if (sizeOf(at) !== null && namesIn(at).length > 0) return;
    try {
      rmdirSync(at);
    } catch {
      return; // it is gone, or something came into it
    }
  }
}
