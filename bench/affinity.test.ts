import { expect, setDefaultTimeout, test } from "bun:test";
import { cacheTokensFor, LEAST_BUSY, measureAffinity } from "./affinity.ts";

setDefaultTimeout(120_000);

test("conversations find three times as much of their prompts as when calls go to whoever has the least to do, at an even load", async () => {
  const size = { engines: 8, conversations: 64, turns: 5 };
  const options = { ...size, inFlight: 32, cacheTokens: cacheTokensFor(size), seed: 7 };
  const leastBusy = await measureAffinity({ ...options, env: LEAST_BUSY });
  const ours = await measureAffinity({ ...options, env: {} });
  expect(ours.calls).toBe(64 * 5);
  expect(ours.hits).toBeGreaterThan(3 * leastBusy.hits);
  expect(ours.callsMaxToMean).toBeLessThanOrEqual(1.5);
  expect(ours.loadMaxToMean).toBeLessThanOrEqual(1.5);
});
