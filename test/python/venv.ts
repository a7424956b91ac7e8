// Python with the client library in it, in a folder of its own (test/.venv). Made on first use; what it cannot install it
// names.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dir, "../.venv");
const REQUIREMENTS = join(import.meta.dir, "requirements.txt");
const STAMP = join(FOLDER, ".installed");

/**
 * @returns path of a Python that has what requirements.txt names
 * @throws Error that says what to install, when it cannot be done here
 */
export function pythonWithClients(): string {
  const python = join(FOLDER, "bin/python");
  const wanted = readFileSync(REQUIREMENTS, "utf8");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted && works(python, "--version")) return python;

  rmSync(FOLDER, { recursive: true, force: true });
  say("making test/.venv with the Python client (once)");
  if (!works("python3", "-m", "venv", FOLDER)) {
    installPython();
    rmSync(FOLDER, { recursive: true, force: true });
    if (!works("python3", "-m", "venv", FOLDER)) throw new Error(MISSING);
  }
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", REQUIREMENTS];
  if (!works(python, ...pip) && !works(python, ...pip)) {
    throw new Error(`the Python packages of test/python/requirements.txt could not be installed: ${lastError}`);
  }
  writeFileSync(STAMP, wanted);
  return python;
}

const MISSING =
  "the Python tests need Python 3.9 or newer with venv and pip: on Debian, apt-get install python3 python3-venv";

function installPython(): void {
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) throw new Error(MISSING);
  say("installing python3 and python3-venv");
  const installed = works("apt-get", "update", "-q") && works("apt-get", "install", "-qy", "python3", "python3-venv");
  if (!installed) throw new Error(`${MISSING} (${lastError})`);
}

let lastError = "";

function works(...command: string[]): boolean {
  if (Bun.which(command[0]!) === null && !existsSync(command[0]!)) return false;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const done = Bun.spawnSync(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe", env });
  lastError = done.stderr.toString().trim().split("\n").at(-1) ?? "";
  return done.exitCode === 0;
}

function say(line: string): void {
  process.stderr.write(`test: ${line}\n`);
}
