import { expect, test } from "bun:test";
import { forecast } from "./ledger.ts";

const period = { from: 1_000, until: 2_000 };

test("a period goes on as it went; one that is over is what it was; one that has hardly begun says nothing", () => {
  expect(forecast(10, period, 1_250)).toBe(40);
  expect(forecast(1, period, 1_300)).toBe(4);
  expect(forecast(10, period, 2_000)).toBe(10);
  expect(forecast(10, period, 9_000)).toBe(10);
  expect(forecast(10, period, 1_001)).toBeNull();
  expect(forecast(0, period, 1_500)).toBe(0);
});
