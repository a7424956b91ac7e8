// Pythons with what tests need of it, each in a folder of its own: the client library (test/.venv), and the libraries that
// models are computed with a second time (test/numbers/.venv). Made on first use; what cannot be installed is named.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** With the client library. @throws as `pythonOf` */
export const pythonWithClients = () => pythonOf("python", join(import.meta.dir, "../.venv"));

/** With onnxruntime and its like. @throws as `pythonOf` */
export const pythonWithModels = () => pythonOf("numbers", join(import.meta.dir, "../numbers/.venv"));

/**
 * @param room a folder of test/ that has a requirements.txt
 * @returns path of a Python that has what it names
 * @throws Error that says what to install, when it cannot be done here
 */
function pythonOf(room: string, folder: string): string {
  const requirements = join(import.meta.dir, "..", room, "requirements.txt");
  const stamp = join(folder, ".installed");
  const python = join(folder, "bin/python");
  const wanted = readFileSync(requirements, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted && works(python, "--version")) return python;

  rmSync(folder, { recursive: true, force: true });
  say(`making a Python with the packages of test/${room}/requirements.txt (once)`);
  if (!works("python3", "-m", "venv", folder)) {
    installPython();
    rmSync(folder, { recursive: true, force: true });
    if (!works("python3", "-m", "venv", folder)) throw new Error(MISSING);
  }
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", requirements];
  if (!works(python, ...pip) && !works(python, ...pip)) {
    throw new Error(`the Python packages of test/${room}/requirements.txt could not be installed: ${lastError}`);
  }
  writeFileSync(stamp, wanted);
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
