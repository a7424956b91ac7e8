// The engines of a home as a command changes them: read as the server will read them, written, and brought to the server
// that runs.

import type { EngineEntry, EngineTable } from "../server/config.ts";
import { CommandError } from "./exit.ts";
import type { Common, Env } from "./home.ts";
import { say } from "./output.ts";
import type { OwnEngines } from "./own-engines.ts";

export interface ChangingEngines {
  /** The file that changes them. */
  own: OwnEngines;
  /**
   * @param text in place of the file; absent: what it says now
   * @param keys where the engines' API keys are looked for; absent: they are not
   * @throws ConfigError
   */
  read(text?: string, keys?: Env): EngineTable;
  /** Whether data/engines.yaml has the engine, whatever the file says. */
  isGiven(id: string): boolean;
  /**
   * Writes the file and has a running server read it; what the server refuses is taken back.
   * @param done a sentence's beginning
   * @returns the server's process; null when none runs
   */
  bring(done: string): Promise<{ pid: number | null }>;
}

export async function openEngines(options: Common, env: Env): Promise<ChangingEngines> {
  const { loadConfig, readEngines, readTraffic } = await import("../server/config.ts");
  const { openOwnEngines } = await import("./own-engines.ts");
  // The catalogue is known, and whether a key is there is for the server's environment to say.
  const config = loadConfig({ env, home: options.home, simulate: true, keysElsewhere: true });
  const sources = { ...config, env: null };
  const own = openOwnEngines(config.home);
  return {
    own,
    read(text, keys) {
      const table = readEngines({ ...sources, env: keys ?? null, ...(text === undefined ? {} : { own: text }) });
      // An engine that traffic.yaml names must be there: without it the next start would be refused.
      readTraffic(config.dataDir, config.models, table.engines);
      return table;
    },
    isGiven: (id) => readEngines({ ...sources, own: "" }).engines.some((each) => each.id === id),
    bring: (done) => bring(config.home, own, done),
  };
}

async function bring(home: string, own: OwnEngines, done: string): Promise<{ pid: number | null }> {
  const { reloadTable } = await import("./running.ts");
  const { serverOn } = await import("../server/store/store.ts");
  own.write();
  if (serverOn(home) === null) {
    say(`${done}. No server runs on the home ${home}: it is so when one starts.`);
    return { pid: null };
  }
  try {
    const { pid } = await reloadTable(home, "engines");
    say(`${done}. The server (pid ${pid}) knows.`);
    return { pid };
  } catch (error) {
    own.restore();
    throw error;
  }
}

/** @throws CommandError that names the engines there are */
export function findEngine({ engines }: EngineTable, id: string): EngineEntry {
  const entry = engines.find((each) => each.id === id);
  if (entry) return entry;
  throw new CommandError(`There is no engine called '${id}'. There are ${engines.map((each) => each.id).join(", ")}.`);
}
