// A ledger in a process whose files may not grow beyond a limit, for a test that lifts the limit: settles until it is refused,
// says so, waits for room, settles once more, and says what was acknowledged.

import { LedgerUnavailable, openLedger } from "./ledger.ts";
import { DONE, NOON, newEntry } from "./test-entry.ts";

export interface Told {
  healthy: boolean;
  settled: string[];
  refused: number;
  otherErrors: number;
}

// What exceeds the limit is to be an error of the write, not the end of the process.
process.on("SIGXFSZ", () => {});

const [home = ""] = process.argv.slice(2);
const ledger = await openLedger({ home, now: () => NOON, settleMsMax: 100, retryMs: 20 });
const told: Told = { healthy: true, settled: [], refused: 0, otherErrors: 0 };

async function settle(): Promise<void> {
  const entry = newEntry();
  const { requestId } = entry;
  ledger.reserve(entry);
  try {
    await ledger.settle(requestId, DONE);
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
