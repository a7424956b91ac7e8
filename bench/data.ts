// The tables that a benchmark's server reads: its one model, its one engine, and the plans as they are shipped.

import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * @param engines the text of engines.yaml; absent: the fixed upstream
 * @param models more entries of models.yaml
 */
export function writeData(engines?: string, models = ""): string {
  const dir = mkdtempSync(join(tmpdir(), "oxbow-bench-data-"));
  const own = join(import.meta.dir, "data");
  for (const table of ["plans.yaml", "queue.yaml"])
    copyFileSync(join(import.meta.dir, "../data", table), join(dir, table));
  writeFileSync(join(dir, "models.yaml"), readFileSync(join(own, "models.yaml"), "utf8") + models);
  if (engines === undefined) copyFileSync(join(own, "engines.yaml"), join(dir, "engines.yaml"));
  else writeFileSync(join(dir, "engines.yaml"), engines);
  return dir;
}
