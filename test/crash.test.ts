// The short form of `npm run crash-test`.

import { expect, test } from "bun:test";
import { randomFrom } from "./crash/hang-up.ts";
import { crash } from "./crash/rounds.ts";

test("killed under 64 streams, again and again: what was delivered is counted once, and what was lost comes back", async () => {
  const seed = Date.now() % 1_000_000;
  const report = await crash({ rounds: 6, streams: 64, random: randomFrom(seed) });
  expect({ seed, ...report }).toMatchObject({
    seed,
    kills: 6,
    deliveredUnbilled: 0,
    billedTwice: 0,
    integrity: "ok",
    replayedUnbilled: report.lastBytesLost,
  });
  expect(report.delivered).toBeGreaterThan(100);
  expect(report.bootMsMax).toBeLessThan(10_000); // recovery and all; the script holds it to two seconds on a quiet machine
}, 60_000);
