// Who may import whom: the rooms of the house, held against the source. Imports point down, never sideways, only at the
// file that bears a room's name, and never in a circle, not even of types. Types may come from any lower room and from the
// configuration.

import { dirname, join, normalize } from "node:path";

export interface Import {
  /** Path of the importing file from the root of the repository. */
  from: string;
  /** What it says in the import. */
  said: string;
  /** The file it means, from the root; null for packages of others. */
  to: string | null;
  typeOnly: boolean;
}

/** Rooms by the folder they live in. What is not listed (cli, bench, test) may import everything. */
export const ROOM_FOLDERS = [
  "packages/contract",
  "packages/audio",
  "packages/worker",
  "server/gateway",
  "server/accounts",
  "server/admission",
  "server/fleet",
  "server/ledger",
  "server/metrics",
  "server/traces",
  "server/traffic",
  "server/engines",
  "server/media",
  "server/store",
  "server/weights",
  "server/config",
  "workers",
  "models",
];

/** Values: what each room may import besides itself. docs/architecture.md says the same. */
export const MAY_IMPORT: Record<string, string[]> = {
  gateway: ["accounts", "admission", "fleet", "ledger", "media", "contract"],
  accounts: ["store", "contract"],
  ledger: ["store", "contract"],
  fleet: ["engines", "contract"],
  admission: ["contract"],
  metrics: ["contract"],
  traces: [],
  traffic: ["contract"],
  engines: ["contract"],
  media: ["contract"],
  weights: ["contract"],
  workers: ["worker", "audio", "contract"],
  worker: ["contract"],
  audio: ["contract"],
  config: ["contract"],
  store: [],
  contract: [],
  models: [],
};

/** Types: from any room that is lower than one's own, and from the configuration. */
const LEVEL: Record<string, number> = {
  gateway: 3,
  accounts: 2,
  ledger: 2,
  fleet: 2,
  admission: 2,
  metrics: 2,
  traces: 2,
  traffic: 2,
  engines: 1,
  media: 1,
  workers: 1,
  store: 1,
  weights: 1,
  config: 0,
  models: 0,
  audio: 0,
  worker: 0,
  contract: 0,
};

/** Made for tests and benchmarks alone: they may import everything, and nothing of the product may import them. */
const TEST_FILE = /\.test\.tsx?$|\/(fixtures|testing|corrupt)\.ts$|\/test-[^/]+\.ts$|^(test|bench)\//;

/** The room of a file, or null when it belongs to what may import everything. */
export function roomOf(file: string): string | null {
  if (file === "server/config.ts") return "config";
  const folder = ROOM_FOLDERS.find((each) => file.startsWith(`${each}/`));
  return folder ? folder.split("/").at(-1)! : null;
}

/** Every static and dynamic import of one file. Relies on the formatter: a statement starts at the start of its line. */
export function importsOf(file: string, source: string): Import[] {
  const found: Import[] = [];
  const statement = /^(?:import|export)\s(?:([^;"']*?)\sfrom\s+)?["']([^"']+)["']/gm;
  for (const [, names = "", said] of source.matchAll(statement)) {
    found.push(importOf(file, said!, isTypeOnly(names)));
  }
  for (const [, said] of source.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g)) {
    found.push(importOf(file, said!, false));
  }
  return found;
}

function isTypeOnly(names: string): boolean {
  const trimmed = names.trim();
  if (/^type\s/.test(trimmed)) return true;
  const inBraces = trimmed.match(/^\{([^}]*)\}$/)?.[1];
  return inBraces?.split(",").every((name) => name.trim() === "" || name.trim().startsWith("type ")) ?? false;
}

function importOf(from: string, said: string, typeOnly: boolean): Import {
  return { from, said, to: resolve(from, said), typeOnly };
}

function resolve(from: string, said: string): string | null {
  if (said.startsWith(".")) return normalize(join(dirname(from), said));
  const face = /^@oxbow\/([^/]+)$/.exec(said)?.[1];
  if (face !== undefined) return `packages/${face}/${face}.ts`;
  if (said.startsWith("@oxbow/")) return said.replace("@oxbow/", "packages/");
  return null;
}

/** @returns why this import is not allowed, or null when it is */
export function objectionTo({ from, said, to, typeOnly }: Import): string | null {
  // Data is for everybody; packages of others are another matter.
  if (to === null || to.endsWith(".json") || TEST_FILE.test(from)) return null;
  const say = (why: string) => `${from} imports ${said}: ${why}`;
  if (TEST_FILE.test(to)) return say("it is made for tests");
  const own = roomOf(from);
  const other = roomOf(to);
  if (other === null) {
    return own === null ? null : say(`${own} may not import what stands above the rooms`);
  }
  if (own === other) {
    const worker = (file: string) => (own === "workers" ? file.split("/")[1] : "");
    return worker(from) === worker(to) ? null : say("a kind of worker may not import another");
  }
  const face = isFace(to, other);
  if (!face) return say(`only the file that bears the name of ${other} may be imported from outside`);
  if (own === null) return null;
  if (MAY_IMPORT[own]!.includes(other)) return null;
  if (!typeOnly) return say(`${own} may not import ${other}`);
  if (own !== "contract" && LEVEL[other]! < LEVEL[own]!) return null;
  return other === "config" && own !== "contract" ? null : say(`${own} may not even import types of ${other}`);
}

/** The file that bears the room's name. What makes the built-in model is data with a script beside it, and has none. */
function isFace(file: string, room: string): boolean {
  if (room === "models") return true;
  return room === "config" ? file === "server/config.ts" : file.endsWith(`/${room}/${room}.ts`);
}

/** @returns each circle once, as the files on it: of types too, for two files that need each other are one idea or three */
export function circlesIn(imports: Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) {
    if (to !== null) next.set(from, [...(next.get(from) ?? []), to]);
  }
  const circles: string[][] = [];
  const done = new Set<string>();
  const walk = (file: string, path: string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      circles.push([...path.slice(at), file]);
      return;
    }
    if (done.has(file)) return;
    for (const other of next.get(file) ?? []) walk(other, [...path, file]);
    done.add(file);
  };
  for (const file of next.keys()) walk(file, []);
  return circles;
}
