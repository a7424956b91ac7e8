// The suite of engines against what real engines said when they were asked: see real.suite.ts.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../server/config.ts";
import { createRemoteEngine, probe } from "../../server/engines/engines.ts";
import { type RunningServer, startServer } from "../harness.ts";
import { REAL_ENGINES } from "./real.ts";
import { openPlayer, readRecording } from "./recording.ts";
import { dataFor } from "./remote.ts";
import { engineSuite } from "./suite.ts";

const { kinds } = loadConfig({ env: {} });

for (const {
  id,
  kind,
  name,
  obeysToolChoice,
  refusesOverflow,
  talksFirst = false,
  saysItInStreams = true,
} of REAL_ENGINES) {
  const file = join(import.meta.dir, "../recordings", `${id}.jsonl`);
  const recording = readRecording(readFileSync(file, "utf8"));
  const player = openPlayer(recording);
  let server: RunningServer;
  let remove: () => void;
  beforeAll(async () => {
    const data = dataFor(kind, player.url, name);
    remove = data.remove;
    server = await startServer({ env: { OXBOW_DATA: data.folder } });
  }, 90_000);
  afterAll(async () => {
    await server?.stop();
    await player.stop();
    remove?.();
  }, 30_000);

  const features = kinds[kind]!.features;
  engineSuite(`${id}, as recorded`, () => server, {
    features,
    obeysToolChoice,
    refusesOverflow,
    talksFirst,
    saysItInStreams,
    overflowWords: 6000,
  });

  test(`${id} is found as what it is`, async () => {
    const entry = { id: "far", kind, url: player.url, models: [{ id: "tiny", name }], slots: 1 };
    const row = kinds[kind]!;
    const engine = createRemoteEngine({ ...entry, weight: 1, tags: [], pinned: true, options: {} }, row, {}, []);
    const found = await probe(engine, AbortSignal.timeout(10_000));
    expect(found).toEqual({
      healthy: true,
      problem: null,
      models: expect.arrayContaining([name]),
      version: row.remote!.version ? expect.any(String) : null,
      metrics: row.remote!.metrics !== undefined,
      prioritySupported: false,
    });
  });

  test(`${id} was asked everything that is asked now`, () => expect(player.unknown).toEqual([]));
}
