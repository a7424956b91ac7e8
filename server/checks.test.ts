import { expect, test } from "bun:test";
import { totalmem } from "node:os";
import runtime from "../runtime/package.json" with { type: "json" };
import { availableBytes, checkMemory, checkRuntime, StartError } from "./checks.ts";

const PINNED = runtime.dependencies.bun;
const ENOUGH = { BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" };

test("the launcher's runtime passes, another Bun does not", () => {
  checkRuntime(ENOUGH, PINNED);
  expect(() => checkRuntime(ENOUGH, "1.3.14")).toThrow(
    new StartError(`Oxbow runs on Bun ${PINNED}, but this is 1.3.14. Start it with \`npm start\` or ./oxbow up.`),
  );
});

test("a limit of requests in flight that is missing, low or no number is refused", () => {
  for (const [value, words] of [
    [undefined, "is not set"],
    ["", "is not set"],
    ["256", "is 256"],
    ["many", "is many"],
  ]) {
    expect(() => checkRuntime({ BUN_CONFIG_MAX_HTTP_REQUESTS: value }, PINNED)).toThrow(
      `BUN_CONFIG_MAX_HTTP_REQUESTS ${words}, so calls beyond a few hundred would hang. Start with \`npm start\``,
    );
  }
});

test("models that do not fit are refused with what they need and what there is", () => {
  checkMemory([{ id: "a", bytes: 1e9 }], 1e9);
  expect(() => checkMemory([{ id: "a", bytes: 12.34e9 }], 4e9)).toThrow(
    "The models loaded at start need about 12.3 GB of memory, but 4.0 GB are available: a (12.3 GB). Load it on demand",
  );
  const three = [
    { id: "a", bytes: 3e9 },
    { id: "big", bytes: 9e9 },
    { id: "b", bytes: 1e9 },
    { id: "c", bytes: 1e9 },
  ];
  expect(() => checkMemory(three, 4e9)).toThrow(
    "need about 14.0 GB of memory, but 4.0 GB are available, so there is no room for big (9.0 GB), c (1.0 GB). Load them",
  );
});

/** A machine with 8 GB left, and these files of its control groups. */
function machine(files: Record<string, string>) {
  const all: Record<string, string> = {
    "/proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable:    8000000 kB\n",
    ...files,
  };
  return availableBytes((path) => all[path] ?? null, 16e9);
}

test("memory is what the machine has left, when nothing limits the process", () => {
  expect(machine({})).toBe(8_192_000_000);
  expect(machine({ "/proc/self/cgroup": "0::/user.slice\n", "/sys/fs/cgroup/user.slice/memory.max": "max\n" })).toBe(
    8_192_000_000,
  );
});

test("memory is what a control group leaves, of any version, on any level, with its idle pages counted as free", () => {
  const group = "/sys/fs/cgroup/a/b";
  const version2 = {
    "/proc/self/cgroup": "0::/a/b\n",
    [`${group}/memory.max`]: "3000\n",
    [`${group}/memory.current`]: "1000\n",
    [`${group}/memory.stat`]: "anon 1\ninactive_file 500\n",
  };
  expect(machine(version2)).toBe(2500);
  const parent = { "/sys/fs/cgroup/a/memory.max": "2000\n", "/sys/fs/cgroup/a/memory.current": "1999\n" };
  expect(machine({ ...version2, ...parent })).toBe(1);
  const version1 = {
    "/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/x\n0::/\n",
    // A container sees its own group as the root.
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4000\n",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
    "/sys/fs/cgroup/memory/memory.stat": "inactive_file 9\ntotal_inactive_file 20\n",
  };
  expect(machine(version1)).toBe(1020);
  expect(machine({ ...version1, "/sys/fs/cgroup/memory/memory.usage_in_bytes": "9000\n" })).toBe(0);
});

test("without a system that tells, memory is all there is; with this one's, something between nothing and all", () => {
  expect(availableBytes(() => null, 16e9)).toBe(16e9);
  expect(availableBytes()).toBeGreaterThan(0);
  expect(availableBytes()).toBeLessThanOrEqual(totalmem());
});
