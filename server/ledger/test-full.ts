// A ledger in a process whose files may not grow beyond a limit, for a test that lifts the limit: settles until it is refused,
// says so, waits for room, settles once more, and says what was acknowledged.

import { newId } from "@oxbow/contract";
import { LedgerUnavailable, openLedger } from "./ledger.ts";

export interface Told {
  healthy: boolean;
  settled: string[];
  refused: number;
  otherErrors: number;
}

// What exceeds the limit is to be an error of the write, not the end of the process.
process.on("SIGXFSZ", () => {});

const DAY = "2026-11-21";
const [home = ""] = process.argv.slice(2);
const ledger = await openLedger({ home, now: () => Date.parse(`${DAY}T12:00:00Z`), settleMsMax: 100, retryMs: 20 });
const names = { accountId: "acc-1", keyId: "key00001", plan: "p@1", model: "tiny", endpoint: "/v1/completions" };
const done = {
  outcome: "complete",
  tokensIn: 1,
  tokensOut: 1,
  waitedMs: 0,
  firstTokenMs: null,
  durationMs: 1,
} as const;
const told: Told = { healthy: true, settled: [], refused: 0, otherErrors: 0 };

async function settle(): Promise<void> {
  const requestId = newId("req_");
  ledger.reserve({ requestId, ...names, day: DAY, units: 1, at: 0 });
  try {
    await ledger.settle(requestId, done);
    told.settled.push(requestId);
  } catch (error) {
    if (error instanceof LedgerUnavailable) told.refused++;
    else told.otherErrors++;
  }
}

const say = () => process.stdout.write(`${JSON.stringify({ ...told, healthy: ledger.healthy() })}\n`);

while (told.refused === 0) await Promise.all(Array.from({ length: 100 }, settle));
say();
while (!ledger.healthy()) await Bun.sleep(10);
await Promise.all(Array.from({ length: 100 }, settle));
await ledger.close();
say();
