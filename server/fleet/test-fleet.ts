// What the fleet's tests share: a fleet of test workers, its log and the states it went through.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError } from "@oxbow/contract";
import type { EngineEntry, Model } from "../config.ts";
import {
  createFleet,
  type EngineTable,
  type Fleet,
  type FleetOptions,
  type ModelStatus,
  type Placement,
} from "./fleet.ts";
import type { Behaviour } from "./test-worker.ts";
import { realClock } from "./worker.ts";

export const model = (id: string, more: Partial<Model> = {}): Model => ({
  id,
  name: id,
  category: "chat",
  tier: "standard",
  weight: 1,
  contextTokens: 4096,
  capabilities: [],
  aliases: [],
  ownedBy: "test",
  created: 0,
  weights: null,
  ...more,
});

/** A log that is kept. */
export function keptLog() {
  const lines: Record<string, unknown>[] = [];
  const note = (fields: object, text: string) => void lines.push({ ...fields, text });
  return { lines, log: { info: note, error: note } };
}

/** Resolves once a call can be placed: tries, and tries again whenever the fleet says that it might be worth it, as admission. */
export function placed(fleet: Fleet, id: string): Promise<Placement> {
  return new Promise((resolve, reject) => {
    let done = false;
    const attempt = () => {
      if (done) return;
      try {
        const placement = fleet.place(id);
        if (placement === null) return;
        done = true;
        resolve(placement);
      } catch (error) {
        if (error instanceof ApiError && error.row === "model_not_ready") return;
        done = true;
        reject(error);
      }
    };
    fleet.onFree((free) => free === id && attempt());
    attempt();
  });
}

export interface TestFleetOptions extends Partial<FleetOptions> {
  slots?: number;
  models?: Model[];
  entry?: Partial<EngineEntry>;
}

/** A fleet with one engine, `e`, whose worker lives as told. Pauses of more than a few milliseconds are cut short. */
export function testFleet(
  lives: Behaviour[],
  { slots = 2, models = [model("m")], entry, ...options }: TestFleetOptions = {},
) {
  const folder = mkdtempSync(join(tmpdir(), "fleet-"));
  const livesFile = join(folder, "lives");
  writeFileSync(livesFile, "");
  const { lines: log, log: kept } = keptLog();
  const sleeps: number[] = [];
  const row: EngineEntry = {
    id: "e",
    kind: "test",
    models: models.map(({ id }) => ({ id })),
    slots,
    weight: 1,
    tags: [],
    pinned: true,
    options: { lives, livesFile },
    ...entry,
  };
  const kind = {
    worker: join(import.meta.dir, "test-worker.ts"),
    features: ["seed"],
    loadsFiles: false,
    simulated: false,
  };
  const table: EngineTable = { engines: [row], kinds: { test: kind } };
  const fleet = createFleet({
    ...table,
    models,
    log: kept,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
    loadMsMax: 20_000,
    cores: 2,
    clock: {
      now: realClock.now,
      sleep: (ms, signal) => {
        sleeps.push(ms);
        return realClock.sleep(Math.min(ms, 5), signal);
      },
    },
    ...options,
  });
  const states: ModelStatus[] = [];
  const waiting = new Set<(status: ModelStatus) => void>();
  fleet.onChange((status) => {
    states.push(status);
    for (const look of waiting) look(status);
  });
  return {
    fleet,
    /** What it was built of. */
    table,
    row,
    /** Holds its sockets, and nobody else's. */
    folder,
    log,
    sleeps,
    states,
    /** Process ids of all lives so far. */
    pids: () => lines(livesFile).map((line) => Number(line.split(" ")[0])),
    environment: () => lines(livesFile)[0]!.split(" ")[1]!.split(","),
    /** Resolves at the first change, from now on, for which `test` holds. */
    until: (test: (status: ModelStatus) => boolean) =>
      new Promise<ModelStatus>((resolve) => {
        waiting.add(function look(status) {
          if (!test(status)) return;
          waiting.delete(look);
          resolve(status);
        });
      }),
    async end() {
      await fleet.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

function lines(file: string): string[] {
  return readFileSync(file, "utf8").trimEnd().split("\n");
}

/** Whether a process runs. One that has ended and that nobody has asked about (a zombie) does not. */
export function isAlive(pid: number): boolean {
  const stat = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)]).stdout.toString();
  return stat.trim() !== "" && !stat.startsWith("Z");
}
