// A ledger under load in a process that a test kills: says the id of each request once its settlement is acknowledged.

import { writeSync } from "node:fs";
import { openLedger } from "./ledger.ts";
import { DONE, newEntry } from "./test-entry.ts";

const [home = ""] = process.argv.slice(2);
const ledger = await openLedger({ home, now: Date.now });

async function caller(index: number): Promise<void> {
  for (let count = 0; ; count++) {
    const entry = newEntry({ day: ledger.day(), at: Date.now() });
    const { requestId } = entry;
    ledger.reserve(entry);
    if ((count + index) % 5 === 0) ledger.void(requestId, "engine_failed");
    else {
      await ledger.settle(requestId, DONE);
      // At once, as the last byte of an answer would be: not through a buffer that dies with the process.
      writeSync(1, `${requestId}\n`);
    }
  }
}
await Promise.all(Array.from({ length: 64 }, (_, index) => caller(index)));
