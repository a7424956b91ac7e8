// data/traffic.yaml: read and checked at the start, and again when the operator asks for it. An operator's folder without
// such a file has none of it.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import trafficSchema from "../../data/traffic.schema.json" with { type: "json" };
import type { Model, TrafficTable } from "../config.ts";
import { freeze, labelOf, PROJECT, readTable } from "./data.ts";
import { ConfigError, createTableReader, nearest } from "./table.ts";

type Known = Pick<Model, "id" | "capabilities" | "category">;

interface TrafficFile {
  splits: Record<string, Omit<TrafficTable["splits"][number], "model">>;
  mirrors: Record<string, Omit<TrafficTable["mirrors"][number], "model">>;
  record: TrafficTable["record"];
}

const read = createTableReader<TrafficFile>(trafficSchema);

/**
 * @param models what the entries are checked against
 * @throws ConfigError
 */
export function readTraffic(dataDir: string, models: readonly Known[]): TrafficTable {
  const file = resolve(dataDir || join(PROJECT, "data"), "traffic.yaml");
  const table = existsSync(file) ? readTable(dataDir, "traffic", read) : read(file, "{}");
  const label = labelOf(dataDir, "traffic");
  const find = (at: string, id: string): Known => {
    const model = models.find((each) => each.id === id);
    if (model) return model;
    const near = nearest(
      id,
      models.map((each) => each.id),
    );
    throw new ConfigError(`${label}: ${at} '${id}' is not in models.yaml${near ? `; did you mean ${near}?` : ""}`);
  };
  const splits = Object.entries(table.splits).map(([model, split]) => ({ model, ...split }));
  const mirrors = Object.entries(table.mirrors).map(([model, mirror]) => ({ model, ...mirror }));
  for (const { model, targets } of splits) {
    const asked = find("splits", model);
    for (const [index, target] of targets.entries()) {
      const at = `splits.${model}.targets[${index}].model`;
      checkSide(asked, find(at, target.model), `${label}: ${at}`);
      if (targets.findIndex((other) => other.model === target.model) !== index) {
        throw new ConfigError(`${label}: ${at} '${target.model}' is there twice`);
      }
      if (target.model !== model && Object.hasOwn(table.splits, target.model)) {
        throw new ConfigError(`${label}: ${at} '${target.model}' is split itself`);
      }
    }
  }
  for (const { model, to } of mirrors) {
    const asked = find("mirrors", model);
    const other = to.model === undefined ? asked : find(`mirrors.${model}.to.model`, to.model);
    checkSide(asked, other, `${label}: mirrors.${model}.to.model`);
  }
  return freeze({ splits, mirrors, record: table.record });
}

/** Whoever asks for a model gets what it promises, whichever side he is on. */
function checkSide(asked: Known, other: Known, at: string): void {
  if (asked.category !== other.category) {
    throw new ConfigError(
      `${at} '${other.id}' is of the category ${other.category}, and ${asked.id} of ${asked.category}`,
    );
  }
  const lacks = asked.capabilities.filter((each) => !other.capabilities.includes(each));
  if (lacks.length === 0) return;
  throw new ConfigError(`${at} '${other.id}' lacks what ${asked.id} can do: ${lacks.join(", ")}`);
}
