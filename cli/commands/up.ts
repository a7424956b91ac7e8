// `oxbow up`: the server, in this process, until it is told to stop.

import { type Command, InvalidArgumentError } from "commander";

interface UpOptions {
  port?: number;
  host?: string;
  home?: string;
  simulate?: boolean;
  data?: string;
}

export function addUp(program: Command, env: Record<string, string | undefined>): void {
  program
    .command("up")
    .description("start the server; SIGTERM or Ctrl-C finishes what runs and stops it")
    .option("--port <number>", "port to listen on, 0 for any free one (PORT, 8080)", portOf)
    .option("--host <address>", "address to listen on (HOST, 127.0.0.1)")
    .option("--home <folder>", "what the server keeps (OXBOW_HOME, ~/.oxbow)")
    .option("--simulate", "answer for every model of the catalogue with the simulator (OXBOW_SIMULATE)")
    .option("--data <folder>", "models.yaml, plans.yaml and engines.yaml (OXBOW_DATA, the project's own)")
    .action(async ({ data, ...options }: UpOptions) => {
      // Loaded here: no other command needs the server's rooms.
      const { start } = await import("../../server/main.ts");
      await start({ env, ...options, ...(data === undefined ? {} : { dataDir: data }) });
    });
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
}
