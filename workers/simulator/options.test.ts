import { expect, test } from "bun:test";
import { readOptions } from "./options.ts";

test("an option that means nothing is named", () => {
  expect(() => readOptions({ dress: "tuxedo" })).toThrow("options/dress");
  expect(() => readOptions({ ttftMs: -1 })).toThrow("options/ttftMs");
  expect(() => readOptions({ speed: 1 })).toThrow("options");
  expect(readOptions({}).prioritySupported).toBe(true);
  expect(readOptions({ dress: "vllm" }).prioritySupported).toBe(false);
});
