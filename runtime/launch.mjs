// Starts a part of Oxbow on the pinned Bun: `node runtime/launch.mjs FILE.ts [ARG ...]`, or `… x TOOL [ARG ...]`
// for a tool from node_modules. Brings what is missing first: npm (which a fresh machine has) brings Bun, Bun brings
// the rest from bun.lock. Runs on plain Node without a dependency, and leaves everything else to what it starts.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const pinned = JSON.parse(readFileSync(join(here, "package.json"), "utf8")).dependencies.bun;

const bun = findBun() ?? installBun();
installPackages(bun);
run(bun, process.argv.slice(2));

/** The pinned Bun's binary, or null. The `.bin/bun` stub is not used: without its install script it refuses to run. */
function findBun() {
  const scope = join(here, "node_modules", "@oven");
  if (!existsSync(scope)) return null;
  for (const name of readdirSync(scope)) {
    const file = join(scope, name, "bin", process.platform === "win32" ? "bun.exe" : "bun");
    if (!existsSync(file)) continue;
    // A package for another C library or an older processor is there too, and does not start.
    if (spawnSync(file, ["--version"], { encoding: "utf8" }).stdout?.trim() === pinned) return file;
  }
  return null;
}

function installBun() {
  say(`installing Bun ${pinned} (once)`);
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const done = spawnSync(npm, args, { cwd: here, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  const file = findBun();
  if (done.status !== 0 || !file)
    fail(`Bun ${pinned} could not be installed. Check that \`npm ping\` works, then start again.`);
  return file;
}

/** Installs from bun.lock, and again only when the lock file or Bun has changed. */
function installPackages(bunFile) {
  const stamp = join(root, "node_modules", ".oxbow-installed");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "bun.lock")))
    .update(pinned)
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing packages from bun.lock");
  const done = spawnSync(bunFile, ["install", "--frozen-lockfile", "--no-progress"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (done.status !== 0)
    fail("The packages could not be installed (see above). Check that `npm ping` works, then start again.");
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

function run(bunFile, [what, ...args]) {
  if (!what) fail("usage: node runtime/launch.mjs FILE.ts [ARG ...]");
  // `x biome …` runs the tool's own launcher on Bun: nothing but Bun is taken from the machine.
  const command = what === "x" ? ["--bun", "run", ...args] : [join(root, what), ...args];
  const child = spawn(bunFile, command, {
    cwd: what === "x" || what.startsWith("test/") ? root : process.cwd(),
    stdio: "inherit",
    env: {
      ...process.env,
      // Bun's fetch silently queues above 256 requests in flight unless this is set before it starts.
      BUN_CONFIG_MAX_HTTP_REQUESTS: process.env.BUN_CONFIG_MAX_HTTP_REQUESTS ?? "65535",
      // What is freed is given back to the system a second later, and not at once, to be asked for again at once.
      MIMALLOC_PURGE_DELAY: process.env.MIMALLOC_PURGE_DELAY ?? "1000",
      OXBOW_BUN: bunFile,
    },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    // A terminal sends Ctrl-C to the whole group: the child has it already, and a second one means "at once".
    process.on(signal, () => (signal === "SIGINT" && process.stdin.isTTY ? undefined : child.kill(signal)));
  }
  child.on("exit", (code, signal) => {
    if (signal) process.removeAllListeners(signal);
    if (signal) process.kill(process.pid, signal);
    else process.exit(code ?? 1);
  });
}

function say(line) {
  process.stderr.write(`oxbow: ${line}\n`);
}

function fail(line) {
  say(line);
  process.exit(1);
}
