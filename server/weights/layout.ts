// The shape of the shared cache on disk, exactly: blobs under the name of their content, and for each commit a folder of
// relative links to them. A file under its final name is always whole; what is under way is called `.incomplete`.
//
// Source: huggingface.co/docs/hub/local-cache, read 2026-11-21.

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";

export interface Layout {
  readonly cache: string;
  /** The repository's folder. */
  readonly folder: string;
  blob(oid: string): string;
  incomplete(oid: string): string;
  lock(oid: string): string;
  snapshot(commit: string): string;
  /** What `refs/<revision>` says; null when the revision was never pulled. */
  ref(revision: string): string;
}

/** @param repository `owner/name` */
export function layoutOf(cache: string, repository: string): Layout {
  const name = folderOf(repository);
  const folder = join(cache, name);
  return {
    cache,
    folder,
    blob: (oid) => join(folder, "blobs", oid),
    incomplete: (oid) => join(folder, "blobs", `${oid}.incomplete`),
    // Other programs take the same lock for the same file.
    lock: (oid) => join(cache, ".locks", name, `${oid}.lock`),
    snapshot: (commit) => join(folder, "snapshots", commit),
    ref: (revision) => join(folder, "refs", revision),
  };
}

export function folderOf(repository: string): string {
  return `models--${repository.replaceAll("/", "--")}`;
}

/** `owner/name` of a folder of the cache; null for what is none of a model. */
export function repositoryOf(folder: string): string | null {
  const [kind, ...parts] = folder.split("--");
  if (kind !== "models" || parts.length === 0 || parts.includes("")) return null;
  // A name may itself hold two dashes; an owner may not.
  return parts.length === 1 ? parts[0]! : `${parts[0]}/${parts.slice(1).join("--")}`;
}

/** Bytes of a file, or of what a link leads to; null when it is not there. */
export function sizeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.size ?? null;
}

/** Makes `path` of a snapshot lead to its blob. One that leads elsewhere is replaced in one step. */
export function linkFile(layout: Layout, commit: string, path: string, oid: string): void {
  const link = join(layout.snapshot(commit), path);
  const target = relative(dirname(link), layout.blob(oid));
  mkdirSync(dirname(link), { recursive: true });
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(link) === target) return;
  const fresh = `${link}.${process.pid}.tmp`;
  rmSync(fresh, { force: true });
  symlinkSync(target, fresh);
  renameSync(fresh, link);
}

/** Says which commit a revision means now. */
export function writeRef(layout: Layout, revision: string, commit: string): void {
  if (revision === commit) return;
  writeWhole(layout.ref(revision), commit);
}

/** Under its name the file is either the old one or the new one. */
export function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}.tmp`;
  writeFileSync(fresh, text);
  renameSync(fresh, path);
}

export function isThere(path: string): boolean {
  return existsSync(path);
}
