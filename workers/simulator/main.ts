// The simulator as a process: listens where its config says, and ends when its parent does.

import { fstatSync, rmSync } from "node:fs";
import { EXIT_MODEL_UNUSABLE, type WorkerConfig } from "@oxbow/contract";
import { readOptions } from "./options.ts";
import { createSimulator } from "./server.ts";

const config = JSON.parse(process.argv[2] ?? fatal("usage: main.ts <WorkerConfig as JSON>")) as WorkerConfig;

/** Far above what a gateway lets through. */
const BODY_BYTES_MAX = 512 * 1024 * 1024;

let fetch: ReturnType<typeof createSimulator>;
let port: number | undefined;
try {
  fetch = createSimulator(config);
  port = readOptions(config.options).port;
} catch (error) {
  fatal(error instanceof Error ? error.message : String(error));
}

// Answers may pause for as long as the caller of the simulation wants. Bun cuts silent unix connections too, after 10 s,
// unless told otherwise, and its types know that option for TCP alone (measured on 1.4.5).
const common = { fetch, development: false, maxRequestBodySize: BODY_BYTES_MAX, idleTimeout: 0 };
const servers: { stop(): Promise<void> }[] = [];
if (config.socket !== "") {
  rmSync(config.socket, { force: true });
  servers.push(
    Bun.serve<undefined>(Object.assign({ unix: config.socket }, common as Omit<typeof common, "idleTimeout">)),
  );
}
if (port !== undefined) {
  const server = Bun.serve({ ...common, hostname: "127.0.0.1", port });
  servers.push(server);
  console.error(`simulator: listening on ${server.url.origin}`);
}
if (servers.length === 0) fatal("neither a socket nor options.port to listen on");

// A pipe means a parent that holds its other end. Started by hand or by an init system there is a terminal or /dev/null.
const input = fstatSync(0);
if (input.isFIFO() || input.isSocket()) {
  process.stdin.on("end", () => process.exit(0));
  process.stdin.on("close", () => process.exit(0));
  process.stdin.resume();
}
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, async () => {
    await Promise.all(servers.map((server) => server.stop()));
    process.exit(0);
  });
}

function fatal(reason: string): never {
  console.error(`fatal: simulator: ${reason}`);
  process.exit(EXIT_MODEL_UNUSABLE);
}
