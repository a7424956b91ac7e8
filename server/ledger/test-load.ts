// A ledger under load in a process that a test kills: says the id of each request once its settlement is acknowledged.

import { writeSync } from "node:fs";
import { newId } from "@oxbow/contract";
import { openLedger } from "./ledger.ts";

const [home = ""] = process.argv.slice(2);
const ledger = await openLedger({ home, now: Date.now });
const names = { accountId: "a", keyId: "k", plan: "p@1", model: "m", endpoint: "/v1/chat/completions" };
const done = {
  outcome: "complete",
  tokensIn: 1,
  tokensOut: 1,
  waitedMs: 0,
  firstTokenMs: null,
  durationMs: 1,
} as const;

async function caller(index: number): Promise<void> {
  for (let count = 0; ; count++) {
    const requestId = newId("req_");
    ledger.reserve({ requestId, ...names, day: ledger.day(), units: 1, at: Date.now() });
    if ((count + index) % 5 === 0) ledger.void(requestId, "engine_failed");
    else {
      await ledger.settle(requestId, done);
      // At once, as the last byte of an answer would be: not through a buffer that dies with the process.
      writeSync(1, `${requestId}\n`);
    }
  }
}
await Promise.all(Array.from({ length: 64 }, (_, index) => caller(index)));
