// A worker that loads for ever: it keeps to the protocol of packages/contract/worker.ts and never becomes warm.

import type { WorkerConfig } from "@oxbow/contract";

const config = JSON.parse(process.argv[2]!) as WorkerConfig;
Bun.serve({ unix: config.socket, fetch: () => Response.json({ state: "loading", progress: 0.5 }) });
process.stdin.on("end", () => process.exit(0)).resume();
