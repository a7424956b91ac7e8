// The `report` of splits and of mirrors: what became of the calls that the server of a home wrote down.

import type { Command } from "commander";
import { type Common, type Env, HOME, homeOf, JSON_OUTPUT } from "./home.ts";
import { printJson } from "./output.ts";
import { durationOf } from "./values.ts";

interface ReportOptions extends Common {
  /** Milliseconds. */
  since?: number;
}

export interface Report<R> {
  description: string;
  /** @param since Unix ms: calls that ended before are left out */
  read(home: string, since: number): Promise<R[]>;
  show(rows: R[]): void;
}

export function addReport<R>(command: Command, env: Env, { description, read, show }: Report<R>): void {
  command
    .command("report")
    .description(description)
    .option("--since <duration>", "only calls that ended within it: 30m, 24h, 7d", durationOf)
    .option(...HOME)
    .option(...JSON_OUTPUT)
    .action(async (options: ReportOptions) => {
      const since = options.since === undefined ? 0 : Date.now() - options.since;
      const rows = await read(await homeOf(options, env), since);
      if (options.json) printJson(rows);
      else show(rows);
    });
}
