// The least that any gateway with Oxbow's promise can be on Bun: the bare proxy that reads and parses the body, waits for the
// whole answer, and sends its last byte once a row of it is on disk. No keys, no plans, no queue, no failover, no metrics.

import { newId } from "@oxbow/contract";
import { dayOf, openLedger } from "../server/ledger/ledger.ts";

const [socket, port, home] = process.argv.slice(2);
const ledger = await openLedger({ home: home!, now: Date.now });
const names = { accountId: "account", keyId: "key", plan: "plan@1", model: "bench" };
const DONE = { outcome: "complete", tokensIn: 10, tokensOut: 100, waitedMs: 0, firstTokenMs: null } as const;

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 0,
  maxRequestBodySize: 1 << 30,
  async fetch(request) {
    const started = performance.now();
    const endpoint = new URL(request.url).pathname;
    const body = await request.bytes();
    const { stream } = JSON.parse(Buffer.from(body.buffer).toString("utf8", body.byteOffset, body.length));
    const requestId = newId("req_");
    const at = Date.now();
    ledger.reserve({ requestId, ...names, endpoint, day: dayOf(at), units: 1, at });
    const answer = await fetch(`http://engine${endpoint}`, {
      unix: socket!,
      method: "POST",
      body,
      headers: { "content-type": "application/json", "accept-encoding": "identity" },
      signal: request.signal,
      timeout: false,
      decompress: false,
    } as BunFetchRequestInit);
    const headers = { "content-type": answer.headers.get("content-type")!, "x-request-id": requestId };
    const settle = () => ledger.settle(requestId, { ...DONE, durationMs: performance.now() - started });
    if (stream) return new Response(passed(answer.body!, settle), { headers });
    const whole = await answer.bytes();
    await settle();
    return new Response(whole, { headers });
  },
});
for await (const _ of Bun.stdin.stream());
process.exit(0);

/** Chunk by chunk, the last one once `settle` resolves: which it is shows only when the next one does not come. */
function passed(body: ReadableStream<Uint8Array>, settle: () => Promise<void>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream(
    {
      pull: (controller) =>
        reader.read().then(({ value, done }) => {
          if (!done) return controller.enqueue(value);
          return settle().then(() => controller.close());
        }) as Promise<void>,
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
