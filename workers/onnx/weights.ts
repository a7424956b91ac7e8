// Where a model's files are: a folder laid out as on the Hugging Face hub, or one .onnx file by itself.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UnusableModel } from "@oxbow/worker";
import type { Dtype } from "./options.ts";

export interface Weights {
  folder: string;
  /** config.json; null where there is none. */
  config: Record<string, unknown> | null;
}

/** @param file a folder, or the .onnx file in it. @throws UnusableModel when it is not there, or its config is no JSON */
export function openWeights(file: string): Weights {
  let isFolder: boolean;
  try {
    isFolder = statSync(file).isDirectory();
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    throw new UnusableModel(code === "ENOENT" ? "was not found" : `cannot be read: ${code ?? "unknown error"}`);
  }
  const folder = isFolder ? file : dirname(file);
  return { folder, config: isFolder ? readJson(folder, "config.json") : null };
}

/**
 * A JSON file of the model, or null where there is none.
 * @throws UnusableModel when it is no JSON object
 */
export function readJson(folder: string, name: string): Record<string, unknown> | null {
  const path = join(folder, name);
  if (!existsSync(path)) return null;
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // said below: what it holds is not for a log
  }
  throw new UnusableModel(`has a ${name} that is no JSON object`);
}

/** How exporters mark the precision of a file, in the order in which it is looked for. Source: names on the hub. */
const SUFFIXES: Record<Dtype, string[]> = {
  fp32: [""],
  fp16: ["_fp16"],
  q8: ["_quantized", "_int8", "_uint8"],
  q4: ["_q4"],
};

/**
 * The file of one graph, `model` say: in the folder's `onnx/`, or at its top; under another name when the folder holds no
 * other graph.
 * @throws UnusableModel naming what was looked for
 */
export function graphFile(folder: string, graph: string, dtype: Dtype): string {
  const names = SUFFIXES[dtype].flatMap((suffix) => [`onnx/${graph}${suffix}.onnx`, `${graph}${suffix}.onnx`]);
  const found = names.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  const others = ["onnx", ""].flatMap((part) => graphsIn(join(folder, part)));
  if (others.length === 1 && dtype === "fp32") return others[0]!;
  throw new UnusableModel(`has no ${basename(names[0]!)} (precision ${dtype})`);
}

function graphsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => (name.endsWith(".onnx") ? join(folder, name) : []));
}
