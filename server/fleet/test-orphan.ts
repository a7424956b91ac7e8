// A parent to be killed: starts a fleet whose worker goes only at the end of its input, says where it is, and waits.
// With the argument `stuck`, the worker's thread is blocked and does not even see that end.

import { testFleet } from "./test-fleet.ts";

const { fleet, pids, folder } = testFleet([{ ignoreSigterm: true }]);
await fleet.start();
if (process.argv[2] === "stuck") {
  const never = new AbortController().signal;
  const { engine } = fleet.place("m")!;
  void engine.send("/v1/stuck", new Uint8Array(), { signal: never });
  // From here on its thread does nothing else.
  const silent = AbortSignal.timeout(200);
  await engine.send("/v1/any", new Uint8Array(), { signal: silent }).then(
    () => process.exit(1),
    () => {},
  );
}
// A pipe that nothing holds on to would be closed here, and the worker gone before its time.
Bun.gc(true);
process.stdout.write(JSON.stringify({ pid: pids()[0], folder }));
setInterval(() => {}, 60_000);
