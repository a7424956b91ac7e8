// What `npm run test:weights` runs: the suites that need real weights. The first time they are installed, some 83 MB, into
// test/weights/.files; nothing of them is in the repository.

import { join } from "node:path";
import { ROOT } from "../harness.ts";

const command = [process.execPath, "test", join(ROOT, "test/weights/minilm.suite.ts")];
process.exit(Bun.spawnSync(command, { cwd: ROOT, stdin: "ignore", stdout: "inherit", stderr: "inherit" }).exitCode);
