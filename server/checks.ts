// What must be right before the server starts, each with one line for the operator that says what to do about it.
// The home folder checks itself (store/home.ts), as does data/ (config.ts).

import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import runtime from "../runtime/package.json" with { type: "json" };

/** What stops the start: one line. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/**
 * Checks what the process was started with. Bun's `fetch` holds back, silently, what is beyond its limit of requests in
 * flight (256 unless told otherwise), and reads the limit only once, when Bun starts.
 * @throws StartError
 */
export function checkRuntime(env: Record<string, string | undefined>, bunVersion = Bun.version): void {
  const pinned = runtime.dependencies.bun;
  if (bunVersion !== pinned) {
    throw new StartError(
      `Oxbow runs on Bun ${pinned}, but this is ${bunVersion}. Start it with \`npm start\` or ./oxbow up.`,
    );
  }
  const name = "BUN_CONFIG_MAX_HTTP_REQUESTS";
  const limit = Number(env[name] || Number.NaN);
  if (limit >= REQUESTS_MIN) return;
  const is = env[name] ? `is ${env[name]}` : "is not set";
  const text = `${name} ${is}, so calls beyond a few hundred would hang. Start with \`npm start\` or ./oxbow up, or set it to 65535.`;
  throw new StartError(text);
}

/** As many as can wait and run at once on a large machine; the launcher sets the most there can be. */
const REQUESTS_MIN = 4096;

/**
 * @param pinned engines that are loaded at start, and the bytes that each will take
 * @throws StartError when there are not as many; it says which of them fit, in their order, and which do not
 */
export function checkMemory(pinned: readonly { id: string; bytes: number }[], available: number): void {
  const needed = pinned.reduce((sum, { bytes }) => sum + bytes, 0);
  if (needed <= available) return;
  let left = available;
  const fits = (bytes: number) => {
    const fitting = bytes <= left;
    if (fitting) left -= bytes;
    return fitting;
  };
  const out = pinned.filter(({ bytes }) => !fits(bytes));
  const names = out.map(({ id, bytes }) => `${id} (${inGigabytes(bytes)} GB)`).join(", ");
  const beside = out.length < pinned.length ? ", so there is no room for" : ":";
  const text = `The models loaded at start need about ${inGigabytes(needed)} GB of memory, but ${inGigabytes(available)} GB are available${beside} ${names}. Load ${out.length > 1 ? "them" : "it"} on demand (pinned: false in data/engines.yaml), choose smaller weights, or free memory.`;
  throw new StartError(text);
}

function inGigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

/**
 * Bytes of memory that can still be had: what the machine has left, or a control group (a container) allows, if that is
 * less. Where the system does not tell what it could give back (it is not Linux), all there is.
 *
 * Sources, read 2026-11-21: Linux kernel, Documentation/filesystems/proc.rst (MemAvailable) and
 * admin-guide/cgroup-v2.rst (memory.max, memory.current, memory.stat), cgroup-v1/memory.rst.
 */
export function availableBytes(read: (path: string) => string | null = readText, total = totalmem()): number {
  const free = /^MemAvailable:\s+(\d+) kB/m.exec(read("/proc/meminfo") ?? "")?.[1];
  const machine = free === undefined ? total : Number(free) * 1024;
  return Math.max(0, Math.min(machine, ...leftInGroups(read)));
}

/** What each group that the process is in has left: a limit further up holds for all below it. */
function* leftInGroups(read: (path: string) => string | null): Generator<number> {
  for (const line of (read("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined || !(controllers === "" || controllers?.split(",").includes("memory"))) continue;
    const [root, limitFile, usedFile, cacheKey] = controllers === "" ? VERSION_2 : VERSION_1;
    for (let group = path; ; group = join(group, "..")) {
      const folder = join(root, group);
      const limit = numberIn(read(join(folder, limitFile)));
      const used = numberIn(read(join(folder, usedFile)));
      // Pages of files that were not touched lately count as used, and are given back first.
      const cache = new RegExp(`^${cacheKey} (\\d+)`, "m").exec(read(join(folder, "memory.stat")) ?? "")?.[1];
      if (limit !== null && used !== null) yield limit - used + Number(cache ?? 0);
      if (group === "/" || group === "." || group === "") break;
    }
  }
}

const VERSION_2 = ["/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"] as const;
const VERSION_1 = [
  "/sys/fs/cgroup/memory",
  "memory.limit_in_bytes",
  "memory.usage_in_bytes",
  "total_inactive_file",
] as const;

/** Null for "max", and for what is not there. */
function numberIn(text: string | null): number | null {
  return text !== null && /^\d+\s*$/.test(text) ? Number(text) : null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // another system, or another version of control groups
  }
}
