// Where the tables of data/ are, and what they are called in messages.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConfigError, type TableReader } from "./table.ts";

export const PROJECT = resolve(import.meta.dir, "../..");

/**
 * The name of a table in messages: `data/models.yaml`, or the path of the operator's own.
 * @param dataDir "": the project's own
 */
export function labelOf(dataDir: string, table: string): string {
  return join(dataDir || "data", `${table}.yaml`);
}

/** @throws ConfigError that starts with the table's label */
export function readTable<T>(dataDir: string, table: string, read: TableReader<T>): T {
  const label = labelOf(dataDir, table);
  let text: string;
  try {
    text = readFileSync(resolve(dataDir || join(PROJECT, "data"), `${table}.yaml`), "utf8");
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new ConfigError(`${label}: ${missing ? "there is no such file" : `cannot be read: ${cause}`}`);
  }
  return read(label, text);
}

/** Nobody who is handed a table can change it for the others. */
export function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
