// data/traffic.yaml: read and checked at the start, and again when the operator asks for it. An operator's folder without
// such a file has none of it.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import trafficSchema from "../../data/traffic.schema.json" with { type: "json" };
import { freeze, labelOf, PROJECT, readTable } from "./data.ts";
import type { Model, TrafficTable } from "./rows.ts";
import { ConfigError, createTableReader, nearest } from "./table.ts";

type Known = Pick<Model, "id" | "capabilities" | "category">;
interface KnownEngine {
  id: string;
  tags: readonly string[];
}

interface TrafficFile {
  splits: Record<string, Omit<TrafficTable["splits"][number], "model">>;
  mirrors: Record<string, Omit<TrafficTable["mirrors"][number], "model">>;
  record: TrafficTable["record"];
}

const read = createTableReader<TrafficFile>(trafficSchema);

/** A file whose entries are all commented out is as good as none. */
const readOrNothing: typeof read = (file, text) =>
  read(file, text.split("\n").every((line) => /^\s*(#|$)/.test(line)) ? "{}" : text);

/**
 * @param models what the entries are checked against; `engines` likewise
 * @throws ConfigError
 */
export function readTraffic(dataDir: string, models: readonly Known[], engines: readonly KnownEngine[]): TrafficTable {
  const file = resolve(dataDir || join(PROJECT, "data"), "traffic.yaml");
  const table = existsSync(file) ? readTable(dataDir, "traffic", readOrNothing) : read(file, "{}");
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
      const other = target.model ?? model;
      checkSide(asked, find(at, other), `${label}: ${at}`);
      checkPlace(target, engines, `${label}: splits.${model}.targets[${index}]`);
      if (targets.findIndex((each) => isSamePlace(each, target, model)) !== index) {
        throw new ConfigError(`${label}: ${at} '${other}' is there twice`);
      }
      if (other !== model && Object.hasOwn(table.splits, other)) {
        throw new ConfigError(`${label}: ${at} '${other}' is split itself`);
      }
    }
  }
  for (const { model, to } of mirrors) {
    const asked = find("mirrors", model);
    const other = to.model === undefined ? asked : find(`mirrors.${model}.to.model`, to.model);
    // Callers get nothing of it: what it cannot do is its own failure.
    checkCategory(asked, other, `${label}: mirrors.${model}.to.model`);
    checkPlace(to, engines, `${label}: mirrors.${model}.to`);
  }
  return freeze({ splits, mirrors, record: table.record });
}

interface PlaceRow {
  model?: string;
  engine?: string;
  tag?: string;
}

function isSamePlace(one: PlaceRow, other: PlaceRow, model: string): boolean {
  return (one.model ?? model) === (other.model ?? model) && one.engine === other.engine && one.tag === other.tag;
}

function checkPlace({ engine, tag }: PlaceRow, engines: readonly KnownEngine[], at: string): void {
  const ids = engines.map(({ id }) => id);
  if (engine !== undefined && !ids.includes(engine)) {
    throw new ConfigError(`${at}.engine must be one of ${ids.join(", ")}, but is '${engine}'`);
  }
  if (tag !== undefined && !engines.some(({ tags }) => tags.includes(tag))) {
    throw new ConfigError(`${at}.tag '${tag}' is on no engine of engines.yaml`);
  }
}

function checkCategory(asked: Known, other: Known, at: string): void {
  if (asked.category === other.category) return;
  throw new ConfigError(
    `${at} '${other.id}' is of the category ${other.category}, and ${asked.id} of ${asked.category}`,
  );
}

/** Whoever asks for a model gets what it promises, whichever side he is on. */
function checkSide(asked: Known, other: Known, at: string): void {
  checkCategory(asked, other, at);
  const lacks = asked.capabilities.filter((each) => !other.capabilities.includes(each));
  if (lacks.length === 0) return;
  throw new ConfigError(`${at} '${other.id}' lacks what ${asked.id} can do: ${lacks.join(", ")}`);
}
