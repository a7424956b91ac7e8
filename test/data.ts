// A copy of data/ with other engines or plans, for tests that need what an operator would never set up: one slot, a broken
// file, a worker that is never ready, sixty requests for the operator himself.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";

export interface EngineTable {
  kinds: Record<string, Record<string, unknown>>;
  engines: Record<string, Record<string, unknown>>;
}

export interface PlanTable {
  sold: number;
  admin: string;
  versions: Record<string, Record<string, Record<string, unknown>>>;
}

export type ModelTable = Record<string, Record<string, unknown>>;

/** @returns the folder, for `OXBOW_DATA`, and what removes it again */
export function dataWith(
  change: (table: EngineTable) => void,
  changePlans: (table: PlanTable) => void = () => {},
  changeModels: (table: ModelTable) => void = () => {},
): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-data-"));
  cpSync(join(import.meta.dir, "../data"), folder, { recursive: true });
  rewrite(join(folder, "engines.yaml"), change);
  rewrite(join(folder, "plans.yaml"), changePlans);
  rewrite(join(folder, "models.yaml"), changeModels);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function rewrite<Table>(file: string, change: (table: Table) => void): void {
  const table = parse(readFileSync(file, "utf8"), { merge: true }) as Table;
  change(table);
  writeFileSync(file, stringify(table));
}

/** The catalogue by the simulator and nothing else: a start takes no model. */
export function simulatorAlone({ engines }: EngineTable): void {
  delete engines.tiny;
}

/** Changes the plan of the first account, which is the one that tests call with. */
export function adminPlan(fields: Record<string, unknown>): (table: PlanTable) => void {
  return ({ versions, sold, admin }) => {
    Object.assign(versions[sold]![admin]!, fields);
  };
}
