// The suite of engines against our own worker, and against the simulator as servers of others would run it.

import { afterAll, beforeAll } from "bun:test";
import { loadConfig } from "../../server/config.ts";
import { type RunningServer, startServer } from "../harness.ts";
import { useServer } from "../suite.ts";
import { type Dress, dataFor, type RemoteServer, startSimulator, THEIR_NAME } from "./remote.ts";
import { engineSuite } from "./suite.ts";

const { kinds } = loadConfig({ env: {} });
const traits = { obeysToolChoice: true, refusesOverflow: true, overflowWords: 6000 };

engineSuite("our own worker", useServer({}), { ...traits, features: kinds.llama!.features });

const DRESSES: [kind: string, dress: Dress][] = [
  ["vllm", "vllm"],
  ["sglang", "sglang"],
  ["openai", "plain"],
];
for (const [kind, dress] of DRESSES) {
  let remote: RemoteServer;
  let server: RunningServer;
  let remove: () => void;
  beforeAll(async () => {
    remote = await startSimulator(dress);
    const data = dataFor(kind, remote.url, THEIR_NAME);
    remove = data.remove;
    server = await startServer({ env: { OXBOW_DATA: data.folder } });
  }, 90_000);
  afterAll(async () => {
    await server?.stop();
    await remote?.stop();
    remove?.();
  }, 30_000);
  engineSuite(`the simulator in ${dress} dress`, () => server, { ...traits, features: kinds[kind]!.features });
}
