// What is counted when a server ends: killed (the short form of `npm run crash-test`), and asked to.

import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { randomFrom } from "./crash/hang-up.ts";
import { readLedger } from "./crash/read-ledger.ts";
import { crash } from "./crash/rounds.ts";
import { dataWith, simulatorAlone } from "./data.ts";
import { KEY, newHome, startServer } from "./harness.ts";
import { HELLO, MODEL } from "./suite.ts";

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
  expect(report.recoveryMsMax).toBeLessThan(2_000);
}, 60_000);

test("a server that is told to stop counts what it could finish, and not what it had to cut off", async () => {
  const data = dataWith(simulatorAlone);
  const home = newHome();
  const env = { OXBOW_DATA: data.folder, OXBOW_DRAIN_MS_MAX: "600" };
  const server = await startServer({ simulate: true, home, env });
  try {
    const read = async (tokens: number) => {
      const response = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json", "idempotency-key": `${tokens}` },
        body: JSON.stringify({ model: MODEL, messages: HELLO, stream: true, x_simulate: { tokens, itlMs: 20 } }),
      });
      return response.text().catch(() => "cut off");
    };
    const both = Promise.all([read(20), read(1_000)]);
    await Bun.sleep(200);
    server.process.kill("SIGTERM");
    const [finished, cut] = await both;
    expect(finished).toEndWith("data: [DONE]\n\n");
    expect(cut).not.toContain("[DONE]");
    expect(await server.exited).toBe(0);
    const { billed, settlements } = readLedger(home);
    expect([[...billed], settlements]).toEqual([["20"], 1]);
  } finally {
    await server.stop();
    data.remove();
    rmSync(home, { recursive: true });
  }
});
