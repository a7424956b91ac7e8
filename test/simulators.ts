// Simulators as servers of their own, on ports of loopback: engines elsewhere, as the fleet sees them.

import { join } from "node:path";
import type { WorkerModel } from "@oxbow/contract";
import { end, freePort, ROOT } from "./harness.ts";

export interface Simulator {
  port: number;
  pid: number;
  /** For the entry of the engine. */
  url: string;
  /** What it counts, by name: over all labels together. */
  metrics(): Promise<Record<string, number>>;
  /** Does to all calls what `x_simulate` does to one; `{}`: nothing. */
  simulate(what: object): Promise<void>;
  /** As a crash: at once, its connections with it. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface SimulatorOptions {
  /** The ids of its models, of chat where nothing else is said. */
  models: (string | Partial<WorkerModel>)[];
  slots?: number;
  /** Of workers/simulator/options.ts. */
  options?: Record<string, unknown>;
  /** Absent: any. */
  port?: number;
}

const COMMON = { aliases: [], category: "chat", capabilities: [], contextTokens: 131_072 };

/** Starts one and waits until it answers. */
export async function startSimulator({ models, slots = 128, options, port }: SimulatorOptions): Promise<Simulator> {
  const at = port ?? (await freePort());
  const config = {
    socket: "",
    slots,
    threads: 1,
    models: models.map((model) => ({ ...COMMON, ...(typeof model === "string" ? { id: model } : model) })),
    options: { ...options, port: at },
  };
  const child = Bun.spawn([process.execPath, join(ROOT, "workers/simulator/main.ts"), JSON.stringify(config)], {
    env: { PATH: process.env.PATH },
    stdin: "pipe", // its end ends the simulator, also when the tests are killed
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await child.stderr.getReader().read(); // where it listens
  if (said.done) throw new Error(`a simulator ended with code ${await child.exited}`);
  const root = `http://127.0.0.1:${at}`;
  return {
    port: at,
    pid: child.pid,
    url: `${root}/v1`,
    async metrics() {
      const text = await (await fetch(`${root}/metrics`)).text();
      const samples = text.matchAll(/^([a-z_:]+)(?:\{[^}]*\})? (\S+)$/gm);
      const sums: Record<string, number> = {};
      for (const [, name, value] of samples) sums[name!] = (sums[name!] ?? 0) + Number(value);
      return sums;
    },
    async simulate(what) {
      const answer = await fetch(`${root}/simulate`, { method: "POST", body: JSON.stringify(what) });
      if (!answer.ok) throw new Error(await answer.text());
      await answer.text();
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    stop: () => end(child),
  };
}
