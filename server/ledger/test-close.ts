// A ledger in a process whose files may not grow, for a test that ends it then: it is closed while it tries the disk again.

import { openLedger } from "./ledger.ts";
import { DONE, NOON, newEntry } from "./test-entry.ts";

// What exceeds the limit is to be an error of the write, not the end of the process.
process.on("SIGXFSZ", () => {});

const [home = ""] = process.argv.slice(2);
// One attempt after the other.
const ledger = await openLedger({ home, now: () => NOON, settleMsMax: 100, retryMs: 0 });

async function settle(): Promise<void> {
  const entry = newEntry();
  ledger.reserve(entry);
  await ledger.settle(entry.requestId, DONE).catch(() => {});
}

while (ledger.healthy()) await Promise.all(Array.from({ length: 100 }, settle));
// So many that an attempt takes long, and the pause between two is nothing beside it.
for (let count = 0; count < 20_000; count++) ledger.reserve(newEntry());
await Bun.sleep(200);
await ledger.close();
process.exit(0);
