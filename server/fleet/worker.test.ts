import { expect, test } from "bun:test";
import fc from "fast-check";
import { workerEnvironment } from "./process.ts";
import { backoffMs } from "./worker.ts";

test("pauses grow with the failures, are spread over half of themselves, and stay below half a minute", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, chance) => {
      const ms = backoffMs(failures, chance);
      expect(ms).toBeWithin(125, 30_001);
      expect(ms).toBeGreaterThanOrEqual(backoffMs(failures, 1) / 2);
      expect(backoffMs(failures + 1, chance)).toBeGreaterThanOrEqual(ms);
    }),
  );
});

test("of the environment passes what is on the list, and nothing that is named like a secret", () => {
  const env = {
    PATH: "/bin",
    LC_ALL: "C",
    CUDA_VISIBLE_DEVICES: "0",
    BUN_CONFIG_TOKEN: "x",
    OXBOW_HOME: "x",
    AWS_SECRET_ACCESS_KEY: "x",
    UNSET: undefined,
    TZ: undefined,
  };
  expect(workerEnvironment(env)).toEqual({ PATH: "/bin", LC_ALL: "C", CUDA_VISIBLE_DEVICES: "0" });
});
