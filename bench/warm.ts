// `npm run bench:warm`: is the first request after an idle hour as fast as a warm one? The real worker with the built-in model,
// in a fleet whose clock is put forward an hour in steps of five minutes, so that everything that an hour of silence sets off
// happens; the requests are real. Medians of many hours, because one request says nothing on a shared machine. A request that
// comes alone finds the processor's caches cold, an hour of silence or half a second of it: so the warm ones it is held to come
// after a pause as well, and those that follow at once are shown beside them.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../server/config.ts";
import { createFleet } from "../server/fleet/fleet.ts";

const HOURS = Number(process.env.BENCH_HOURS ?? 30);
const STEP_MS = 5 * 60_000;
/** Two looks of the fleet at what is due. */
const TICKS_MS = 600;

const config = loadConfig({ env: {} });
let ahead = 0;
const fleet = createFleet({
  engines: config.engines.filter(({ id }) => id === "tiny").map((entry) => ({ ...entry, threads: 1 })),
  kinds: config.kinds,
  models: config.models,
  log: { info() {}, error: (fields, text) => console.error(text, fields) },
  env: { ...process.env, XDG_RUNTIME_DIR: mkdtempSync(join(tmpdir(), "warm-")) },
  loadMsMax: 60_000,
  clock: {
    now: () => performance.now() + ahead,
    sleep: (ms, signal) =>
      Bun.sleep(ms)
        .then(() => signal.throwIfAborted())
        .catch(() => {}),
  },
});
await fleet.start();

const body = new TextEncoder().encode(
  JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "What is Oxbow?" }], max_completion_tokens: 32 }),
);

/** Milliseconds. */
async function request(): Promise<number> {
  const from = performance.now();
  const { engine, release } = fleet.place("tiny")!;
  const answer = await engine.send("/v1/chat/completions", body, { signal: AbortSignal.timeout(30_000) });
  await answer.arrayBuffer();
  release();
  return performance.now() - from;
}

for (let at = 0; at < 50; at++) await request();
const atOnce: number[] = [];
const warm: number[] = [];
const first: number[] = [];
for (let hour = 0; hour < HOURS; hour++) {
  // Beside each hour, so that whatever else the machine does falls on all alike.
  for (let at = 0; at < 5; at++) atOnce.push(await request());
  for (let at = 0; at < 3; at++) {
    await Bun.sleep(TICKS_MS);
    warm.push(await request());
  }
  for (let ms = 0; ms < 3_600_000; ms += STEP_MS) {
    ahead += STEP_MS;
    if (ms % (4 * STEP_MS) === 0) await Bun.sleep(TICKS_MS);
  }
  first.push(await request());
}
await fleet.stop();

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const ratio = median(first) / median(warm);
console.table([
  { request: "warm, at once after another", median: median(atOnce).toFixed(2), count: atOnce.length },
  { request: "warm, after a pause of 0.6 s", median: median(warm).toFixed(2), count: warm.length },
  { request: "first after an idle hour", median: median(first).toFixed(2), count: first.length },
]);
console.log(`ratio of the medians: ${ratio.toFixed(2)} (promised: at most 1.2)`);
process.exit(ratio <= 1.2 ? 0 : 1);
