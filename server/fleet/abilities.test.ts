// Whatever a worker of ours can do, it has done once before it counts as warm, and does again when it was idle for long.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeAbilities } from "../../models/fixtures/abilities.ts";
import { loadConfig, type Model } from "../config.ts";
import { createFleet, type Placement } from "./fleet.ts";
import { keptLog, model } from "./test-fleet.ts";
import { realClock } from "./worker.ts";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of open.splice(0).reverse()) await end();
});

/** Calls that its worker has answered, by path; `refused` and `failed` ones with that word behind it. */
async function answered({ engine }: Placement): Promise<Record<string, number>> {
  const text = await (await engine.ask("GET", "/metrics", AbortSignal.timeout(5_000))).text();
  const counts: Record<string, number> = {};
  for (const [, path, outcome, count] of text.matchAll(/requests_total\{path="(.*)",outcome="(.*)"\} (\d+)/g)) {
    counts[outcome === "ok" ? path! : `${path} ${outcome}`] = Number(count);
  }
  return counts;
}

test("each local ability is proven by a call of its own, and asked for it again after an idle hour", async () => {
  const folder = mkdtempSync(join(tmpdir(), "abilities-"));
  open.push(() => rmSync(folder, { recursive: true }));
  const abilities = writeAbilities(folder);
  const { log, lines } = keptLog();
  let ahead = 0;
  let tick = (): void => {};
  const fleet = createFleet({
    engines: abilities.map(({ id, kind, file }) => ({
      ...{ id, kind, models: [{ id, file }], slots: 1, threads: 1, weight: 1, tags: [], pinned: true },
      options: kind === "vision" ? { contextTokens: 1_024 } : {},
    })),
    kinds: loadConfig({ env: {} }).kinds,
    models: abilities.map(({ id, kind: _, file: __, category, ...card }) =>
      model(id, { category: category as Model["category"], ...card }),
    ),
    log,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
    loadMsMax: 60_000,
    clock: { now: () => realClock.now() + ahead, sleep: realClock.sleep },
    every: (_, back) => {
      tick = back;
      return () => {};
    },
  });
  open.push(() => fleet.stop());
  await fleet.start();
  expect(fleet.states().filter(({ state }) => state !== "warm")).toEqual([]);

  const idle = new Set(abilities.map(({ id }) => id));
  const done = new Promise<void>((resolve) => {
    fleet.onFree((id) => idle.delete(id) && idle.size === 0 && resolve());
  });
  ahead = 3_600_000;
  tick();
  expect(fleet.engines().map(({ used }) => used)).toEqual(abilities.map(() => 1));
  await done;
  expect(lines.filter(({ text }) => text === "engine not kept warm")).toEqual([]);
  const seen = abilities.map(async ({ id }) => [id, await answered(fleet.place(id)!)]);
  expect(Object.fromEntries(await Promise.all(seen))).toEqual({
    embeds: { "/v1/embeddings": 2 },
    detects: { "/v1/images/detections": 2 },
    hears: { "/v1/audio/transcriptions": 2 },
    speaks: { "/v1/audio/speech": 2 },
    paints: { "/v1/images/generations": 2 },
    sees: { "/v1/chat/completions": 2 },
  });
}, 120_000);
