// A server's ledger in a process of its own, for tests that kill it: settles some requests, leaves others open, says so, waits.

import { openLedger } from "./ledger.ts";
import { DONE, NOON, newEntry } from "./test-entry.ts";

const [home = "", settled, open] = process.argv.slice(2);
const ledger = await openLedger({ home, now: () => NOON });

for (let index = 0; index < Number(open); index++) {
  ledger.reserve(newEntry({ idempotencyKey: `open-${index}`, bodyHash: "hash" }));
}
await ledger.flush();
for (let index = 0; index < Number(settled); index++) {
  const entry = newEntry();
  ledger.reserve(entry);
  await ledger.settle(entry.requestId, DONE);
}
process.stdout.write(`settled ${settled}\n`);
setInterval(() => {}, 1_000);
