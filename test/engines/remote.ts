// Remote engines for tests: the simulator in the dress of another engine, on a port of its own, and the tables by which
// Oxbow serves nothing but what runs there.

import { join } from "node:path";
import { dataWith } from "../data.ts";
import { collect, end, eventually, ROOT } from "../harness.ts";

export interface RemoteServer {
  /** Base URL, with /v1. */
  url: string;
  stop(): Promise<void>;
}

/** What such a server calls the model: never as we do. */
export const THEIR_NAME = "org/Theirs-7B";

export type Dress = "plain" | "vllm" | "sglang";

export async function startSimulator(dress: Dress, options: object = {}): Promise<RemoteServer> {
  const model = {
    id: THEIR_NAME,
    aliases: [],
    category: "chat",
    capabilities: ["tools", "reasoning", "structured_outputs"],
    contextTokens: 4096,
  };
  const config = {
    socket: "",
    models: [model],
    slots: 16,
    threads: 1,
    options: { port: 0, dress, prioritySupported: true, ...options },
  };
  const child = Bun.spawn([process.execPath, join(ROOT, "workers/simulator/main.ts"), JSON.stringify(config)], {
    stdin: "pipe", // its end ends the simulator, also when the tests are killed
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH },
  });
  const said = collect(child);
  const origin = await eventually(() => said().match(/listening on (\S+)/)?.[1], "the simulator listens");
  return { url: `${origin}/v1`, stop: () => end(child) };
}

/** Tables with one engine, which serves `tiny`. @param name what its server calls it */
export function dataFor(kind: string, url: string, name: string) {
  return dataWith(({ engines }) => {
    for (const id of Object.keys(engines)) delete engines[id];
    engines.far = { kind, url, models: [{ id: "tiny", name }], slots: 4 };
  });
}
