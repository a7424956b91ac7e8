// What `npm run test:engines` runs: builds the engines that are not there yet, then the suite against each of them. Needs
// python3, cmake, a C++ compiler, Go, and the package indexes. From an empty folder it computes for 20 minutes, on as many
// cores as there are and after everybody else: 54 minutes on two that others kept busy all the time (2026-11-21).

import { join } from "node:path";
import { needPrograms } from "../debian.ts";
import { ROOT } from "../harness.ts";
import { REAL_ENGINES } from "./real.ts";

/** Ids, when not all of them are wanted. */
const only = process.env.OXBOW_TEST_ENGINES_ONLY?.split(",");
needPrograms("cmake", "g++");
const missing = ["python3", "go"].filter((name) => Bun.which(name) === null);
// Debian's Go is older than what one of the engines asks for, and brings that itself only from 1.21 on.
if (missing.length > 0) throw new Error(`the engines are built with ${missing.join(" and ")} (Go 1.21 or newer)`);
let broken = false;
for (const engine of REAL_ENGINES) {
  if (only && !only.includes(engine.id)) continue;
  console.log(`--- ${engine.id}: ${engine.version}`);
  try {
    engine.build();
  } catch (error) {
    console.log(error instanceof Error ? error.message : String(error));
    broken = true;
  }
}
if (broken) process.exit(1);
// As in `npm test`: what takes seconds alone takes many of them on a machine that works.
const command = [process.execPath, "test", "--timeout=60000", join(ROOT, "test/engines/real.suite.ts")];
process.exit(Bun.spawnSync(command, { cwd: ROOT, stdin: "ignore", stdout: "inherit", stderr: "inherit" }).exitCode);
