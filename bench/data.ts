// The tables that a benchmark's server reads: its one model, its one engine, and the plans as they are shipped.

import { copyFileSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @param engines the text of engines.yaml; absent: the fixed upstream */
export function writeData(engines?: string): string {
  const dir = mkdtempSync(join(tmpdir(), "oxbow-bench-data-"));
  const own = join(import.meta.dir, "data");
  for (const table of ["plans.yaml", "queue.yaml"])
    copyFileSync(join(import.meta.dir, "../data", table), join(dir, table));
  copyFileSync(join(own, "models.yaml"), join(dir, "models.yaml"));
  if (engines === undefined) copyFileSync(join(own, "engines.yaml"), join(dir, "engines.yaml"));
  else writeFileSync(join(dir, "engines.yaml"), engines);
  return dir;
}
