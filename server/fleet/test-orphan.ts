// A parent to be killed: starts a fleet whose worker goes only at the end of its input, says where it is, and waits.

import { testFleet } from "./test-fleet.ts";

const { fleet, pids, folder } = testFleet([{ ignoreSigterm: true }]);
await fleet.start();
// A pipe that nothing holds on to would be closed here, and the worker gone before its time.
Bun.gc(true);
process.stdout.write(JSON.stringify({ pid: pids()[0], folder }));
setInterval(() => {}, 60_000);
