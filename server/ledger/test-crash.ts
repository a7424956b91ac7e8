// A server's ledger in a process of its own, for tests that kill it: settles some requests, leaves others open, says so, waits.

import { newId } from "@oxbow/contract";
import { openLedger } from "./ledger.ts";

const [home = "", settled, open] = process.argv.slice(2);
const ledger = await openLedger({ home, now: () => Date.parse("2026-11-21T12:00:00Z") });
const names = {
  accountId: "acc-1",
  keyId: "key00001",
  plan: "pro@2026",
  model: "tiny",
  endpoint: "/v1/chat/completions",
};
const request = () => ({ requestId: newId("req_"), ...names, day: "2026-11-21", units: 1, at: 0 });
const result = {
  outcome: "complete",
  tokensIn: 1,
  tokensOut: 1,
  waitedMs: 0,
  firstTokenMs: null,
  durationMs: 1,
} as const;

for (let index = 0; index < Number(open); index++) {
  ledger.reserve({ ...request(), idempotencyKey: `open-${index}`, bodyHash: "hash" });
}
await ledger.flush();
for (let index = 0; index < Number(settled); index++) {
  const entry = request();
  ledger.reserve(entry);
  await ledger.settle(entry.requestId, result);
}
process.stdout.write(`settled ${settled}\n`);
setInterval(() => {}, 1_000);
