// What was pulled here: which files make a set of weights, and whether all of them have arrived. A folder of the shared cache
// does not tell, because other programs pull parts of repositories into it. Kept in the home, one file for each set.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Layout, layoutOf, sizeOf, writeWhole } from "./layout.ts";
import type { Format, Target } from "./wanted.ts";

export interface Note {
  repository: string;
  revision: string;
  commit: string;
  format: Format | null;
  /** As in the target. */
  file: string | null;
  files: { path: string; bytes: number; oid: string }[];
  complete: boolean;
}

export interface Notes {
  read(target: Pick<Target, "repository" | "revision" | "format" | "file">): Note | null;
  all(): Note[];
  write(note: Note): void;
  remove(note: Note): void;
}

export function createNotes(home: string): Notes {
  const folder = join(home, "weights");
  const pathOf = ({
    repository,
    revision,
    format,
    file,
  }: Pick<Note, "repository" | "revision" | "format" | "file">) => {
    const name = [repository, revision, format, file].map((part) => encodeURIComponent(part ?? "")).join("+");
    // A name of a file has a bound, and a hash has none of the signs that some systems do not take.
    return join(folder, `${new Bun.CryptoHasher("sha256").update(name).digest("hex").slice(0, 32)}.json`);
  };
  return {
    read: (target) => readNote(pathOf(target)),
    all() {
      return namesIn(folder)
        .filter((name) => name.endsWith(".json"))
        .map((name) => readNote(join(folder, name)))
        .filter((note) => note !== null);
    },
    write: (note) => writeWhole(pathOf(note), `${JSON.stringify(note, null, 2)}\n`),
    remove: (note) => rmSync(pathOf(note), { force: true }),
  };
}

/** Whether every file is there in its full length: others may have cleaned the cache up. */
export function isWhole(note: Note, cache: string): boolean {
  const layout = layoutOf(cache, note.repository);
  return (
    note.complete && note.files.every(({ path, bytes }) => sizeOf(join(layout.snapshot(note.commit), path)) === bytes)
  );
}

/** Bytes that are there, of files that have arrived and of such that are under way. */
export function bytesOf(note: Note, layout: Layout): number {
  const parts = note.files.map(({ oid }) => sizeOf(layout.blob(oid)) ?? sizeOf(layout.incomplete(oid)) ?? 0);
  return parts.reduce((sum, bytes) => sum + bytes, 0);
}

export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // nothing was ever there
  }
}

/** Null for what is none: then the next pull writes it anew. */
function readNote(path: string): Note | null {
  try {
    const note: Partial<Note> = JSON.parse(readFileSync(path, "utf8"));
    const ok = typeof note.repository === "string" && typeof note.commit === "string" && Array.isArray(note.files);
    return ok ? (note as Note) : null;
  } catch {
    return null;
  }
}
