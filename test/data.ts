// A copy of data/ with other engines, for tests that need what an operator would never set up: one slot, a broken file,
// a worker that is never ready.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";

export interface EngineTable {
  kinds: Record<string, Record<string, unknown>>;
  engines: Record<string, Record<string, unknown>>;
}

/** @returns the folder, for `OXBOW_DATA`, and what removes it again */
export function dataWith(change: (table: EngineTable) => void): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-data-"));
  cpSync(join(import.meta.dir, "../data"), folder, { recursive: true });
  const file = join(folder, "engines.yaml");
  const table = parse(readFileSync(file, "utf8")) as EngineTable;
  change(table);
  writeFileSync(file, stringify(table));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
