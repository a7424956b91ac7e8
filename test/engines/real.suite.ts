// `npm run test:engines`: the suite of engines against engines that nobody here wrote, really run. What they say is kept
// in test/recordings, from which `npm test` plays it.

import { afterAll, beforeAll } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../server/config.ts";
import { type RunningServer, startServer } from "../harness.ts";
import { REAL_ENGINES } from "./real.ts";
import { openRecorder, type Recording, writtenOf } from "./recording.ts";
import { dataFor } from "./remote.ts";
import { engineSuite } from "./suite.ts";

const { kinds } = loadConfig({ env: {} });
const RECORDINGS = join(import.meta.dir, "../recordings");
/** Ids, when not all of them are wanted. */
const WANTED = process.env.OXBOW_TEST_ENGINES_ONLY?.split(",");

for (const engine of REAL_ENGINES) {
  if (WANTED && !WANTED.includes(engine.id)) continue;
  let server: RunningServer;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    const { origin, stop } = await engine.start();
    ends.unshift(stop);
    const recorder = openRecorder(origin);
    ends.unshift(recorder.stop);
    const data = dataFor(engine.kind, recorder.url, engine.name);
    ends.unshift(data.remove);
    server = await startServer({ env: { OXBOW_DATA: data.folder } });
    ends.unshift(async () => {
      await server.stop();
      const { id, version } = engine;
      const made = new Date().toISOString().slice(0, 10);
      const recording: Recording = { engine: id, version, made, exchanges: recorder.exchanges };
      mkdirSync(RECORDINGS, { recursive: true });
      await Bun.write(join(RECORDINGS, `${id}.jsonl`), writtenOf(recording));
    });
  }, 180_000);
  afterAll(async () => {
    for (const end of ends) await end();
  }, 30_000);
  const { obeysToolChoice, refusesOverflow, talksFirst = false, saysItInStreams = true } = engine;
  engineSuite(`${engine.id}, really run`, () => server, {
    features: kinds[engine.kind]!.features,
    obeysToolChoice,
    refusesOverflow,
    talksFirst,
    saysItInStreams,
    overflowWords: 6000,
  });
}
