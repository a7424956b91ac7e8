// A parent to be killed: starts a fleet whose worker goes only at the end of its input, says where it is, and waits.

import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testFleet } from "./test-fleet.ts";

const { fleet, pids } = testFleet([{ ignoreSigterm: true }], { env: { PATH: process.env.PATH } });
const before = new Set(readdirSync(tmpdir()));
await fleet.start();
// A pipe that only a reachable object keeps open would break here, and the worker would be gone before its time.
Bun.gc(true);
const socketFolder = readdirSync(tmpdir()).find((name) => name.startsWith("oxbow-") && !before.has(name))!;
process.stdout.write(JSON.stringify({ pid: pids()[0], socketFolder: join(tmpdir(), socketFolder) }));
setInterval(() => {}, 60_000);
