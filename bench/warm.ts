// `npm run bench:warm`: is the first request after an idle hour as fast as a warm one? Real workers, one for each thing that can
// be done here (the built-in model, and small generated ones), in a fleet whose clock is put forward an hour in steps of five
// minutes, so that everything that an hour of silence sets off happens; the requests are real. Medians of many hours, because
// one request says nothing on a shared machine. A request that comes alone finds the processor's caches cold, an hour of silence
// or half a second of it: so the warm ones it is held to come after a pause as well, and those that follow at once are shown
// beside them. BENCH_ONLY=tiny,speaks measures some alone.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TranscriptionRequest, writeForm } from "@oxbow/contract";
import { writeAbilities } from "../models/fixtures/abilities.ts";
import { loadConfig, type Model } from "../server/config.ts";
import { createFleet } from "../server/fleet/fleet.ts";
import { wavOf } from "../test/recordings.ts";
import { drawScene } from "../test/scene.ts";

const HOURS = Number(process.env.BENCH_HOURS ?? 12);
const STEP_MS = 5 * 60_000;
/** Beside which an idle hour is not to look slow. */
const PAUSE_MS = 600;
const RATIO_MAX = 1.2;

const folder = mkdtempSync(join(tmpdir(), "warm-"));
const abilities = writeAbilities(folder);
const only = process.env.BENCH_ONLY?.split(",");
const config = loadConfig({ env: {} });
const engines = [
  ...config.engines.filter(({ id }) => id === "tiny").map((entry) => ({ ...entry, threads: 1 })),
  ...abilities.map(({ id, kind, file }) => ({
    ...{ id, kind, models: [{ id, file }], slots: 1, threads: 1, weight: 1, tags: [], pinned: true },
    options: kind === "vision" ? { contextTokens: 1_024 } : {},
  })),
].filter(({ id }) => only?.includes(id) ?? true);
const generated = abilities.map(({ kind: _, file: __, category, ...card }): Model => {
  const rest = { name: card.id, tier: "", weight: 1, aliases: [], ownedBy: "", created: 0, weights: null };
  return { ...rest, category: category as Model["category"], ...card };
});

let ahead = 0;
let look = (): void => {};
const fleet = createFleet({
  engines,
  kinds: config.kinds,
  models: [...config.models, ...generated],
  log: { info() {}, error: (fields, text) => console.error(text, fields) },
  env: { ...process.env, XDG_RUNTIME_DIR: folder },
  loadMsMax: 60_000,
  clock: {
    now: () => performance.now() + ahead,
    sleep: (ms, signal) =>
      Bun.sleep(ms)
        .then(() => signal.throwIfAborted())
        .catch(() => {}),
  },
  every: (_, back) => {
    look = back;
    return () => {};
  },
});
let free = (): void => {};
fleet.onFree(() => free());
await fleet.start();

/** Has the fleet look at what is due, and waits until all that it asks is answered. */
async function looked(): Promise<void> {
  const busy = () => fleet.engines().some(({ used }) => used > 0);
  look();
  while (busy()) {
    await new Promise<void>((resolve) => {
      free = resolve;
      if (!busy()) resolve();
    });
  }
}

interface Call {
  path: string;
  bytes: Uint8Array;
  contentType: string;
}
const json = (path: string, body: object): Call => ({
  path,
  bytes: new TextEncoder().encode(JSON.stringify(body)),
  contentType: "application/json",
});
const scene = `data:image/png;base64,${(await drawScene(320, 240, 1).png().toBuffer()).toString("base64")}`;
const recording = writeForm(
  {
    fields: new Map([["model", ["hears"]]]),
    files: [{ name: "file", filename: "a.wav", contentType: "audio/wav", bytes: wavOf(4) }],
  },
  TranscriptionRequest,
);
const question = { type: "text", text: "What is this?" };
const seen = [{ type: "image_url", image_url: { url: scene } }, question];
/** What a caller might ask: nothing of it is what keeps the engine warm. */
const CALLS: Record<string, Call> = {
  tiny: json("/v1/chat/completions", {
    ...{ model: "tiny", messages: [{ role: "user", content: "What is Oxbow?" }], max_completion_tokens: 32 },
  }),
  embeds: json("/v1/embeddings", { model: "embeds", input: "a model reads ".repeat(20) }),
  detects: json("/v1/images/detections", { model: "detects", image: scene }),
  hears: { path: "/v1/audio/transcriptions", ...recording },
  speaks: json("/v1/audio/speech", { model: "speaks", input: "What is a model, and who reads it?", voice: "af_heart" }),
  paints: json("/v1/images/generations", { model: "paints", prompt: "a river", size: "256x256", steps: 4 }),
  sees: json("/v1/chat/completions", {
    ...{ model: "sees", messages: [{ role: "user", content: seen }], max_completion_tokens: 8 },
  }),
};

/** Milliseconds. */
async function request(id: string): Promise<number> {
  const { path, bytes, contentType } = CALLS[id]!;
  const from = performance.now();
  const placement = fleet.place(id)!;
  const answer = await placement.engine.send(path, bytes, { signal: AbortSignal.timeout(30_000), contentType });
  await answer.arrayBuffer();
  placement.release();
  if (!answer.ok) throw new Error(`${id} answered with status ${answer.status}`);
  return performance.now() - from;
}

interface Times {
  atOnce: number[];
  warm: number[];
  first: number[];
}
const times = new Map(engines.map(({ id }): [string, Times] => [id, { atOnce: [], warm: [], first: [] }]));
for (const id of times.keys()) for (let at = 0; at < 20; at++) await request(id);
for (let hour = 0; hour < HOURS; hour++) {
  // Beside each hour, so that whatever else the machine does falls on all alike.
  for (const [id, { atOnce }] of times) for (let at = 0; at < 5; at++) atOnce.push(await request(id));
  for (let at = 0; at < 2; at++) {
    for (const [id, { warm }] of times) {
      await Bun.sleep(PAUSE_MS);
      warm.push(await request(id));
    }
  }
  for (let ms = 0; ms < 3_600_000; ms += STEP_MS) {
    ahead += STEP_MS;
    await looked();
  }
  for (const [id, { first }] of times) {
    await Bun.sleep(PAUSE_MS);
    first.push(await request(id));
  }
}
await fleet.stop();
rmSync(folder, { recursive: true });

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const rows = [...times].map(([id, { atOnce, warm, first }]) => ({
  engine: id,
  "warm, at once": median(atOnce).toFixed(1),
  "warm, after 0.6 s": median(warm).toFixed(1),
  "first after an idle hour": median(first).toFixed(1),
  ratio: Number((median(first) / median(warm)).toFixed(2)),
}));
console.table(rows);
console.log(`Medians in milliseconds. The ratio of the last two is promised to be at most ${RATIO_MAX}.`);
process.exit(rows.every(({ ratio }) => ratio <= RATIO_MAX) ? 0 : 1);
