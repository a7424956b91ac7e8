// Programs of Debian that tests use: installed by the test where it may, named where it may not.

import { basename, join } from "node:path";

const OPTIONS = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };

/**
 * Makes sure that these programs are there; each is in the package of its name.
 * @throws Error that names what to install
 */
export function needPrograms(...programs: string[]): void {
  const missing = programs.filter((name) => Bun.which(name) === null);
  if (missing.length === 0) return;
  const command = ["apt-get", "install", "-qy", "--no-install-recommends", ...missing];
  const text = `these tests need ${missing.join(" and ")}: ${command.join(" ")}`;
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) throw new Error(text);
  // A new machine has no lists of packages yet, and what an older one has may name versions that are gone.
  Bun.spawnSync(["apt-get", "update", "-q"], OPTIONS);
  const { exitCode, stderr } = Bun.spawnSync(command, OPTIONS);
  if (exitCode !== 0) throw new Error(`${text}\n${stderr}`);
}

/** The same for what can be done without. */
export function havePrograms(...programs: string[]): boolean {
  try {
    needPrograms(...programs);
    return true;
  } catch {
    return false; // whoever asks says so in the name of his test
  }
}

/**
 * A program out of a package that is not installed for it, because that would start a server: downloaded by anybody,
 * unpacked into `folder`. The machine's own is taken where there is one.
 * @param path in the package
 * @returns its path; null: it cannot be had
 */
export function haveUnpacked(name: string, path: string, folder: string): string | null {
  const own = Bun.which(basename(path));
  if (own !== null) return own;
  if (Bun.which("apt-get") === null || Bun.which("dpkg-deb") === null) return null;
  const download = () => Bun.spawnSync(["apt-get", "download", "-q", name], { ...OPTIONS, cwd: folder }).exitCode === 0;
  if (!download()) {
    Bun.spawnSync(["apt-get", "update", "-q"], OPTIONS);
    if (!download()) return null;
  }
  const unpack = `dpkg-deb --fsys-tarfile ${name}_*.deb | tar x ./${path}`;
  const { exitCode } = Bun.spawnSync(["sh", "-c", unpack], { cwd: folder });
  return exitCode === 0 ? join(folder, path) : null;
}
