// A full disk, for one process: the system refuses to let its files grow.

/** Runs `during` while nothing that the process writes to a file gets through, and lets it write again afterwards. */
export async function whileDiskIsFull<T>(pid: number, during: () => Promise<T>): Promise<T> {
  limitFiles(pid, "1");
  try {
    return await during();
  } finally {
    limitFiles(pid, "unlimited");
  }
}

/** Sets the soft limit of the size of a file: for root and for the process's own user alike it can be lifted again. */
function limitFiles(pid: number, bytes: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["prlimit", "--pid", String(pid), `--fsize=${bytes}:`]);
  if (exitCode !== 0) throw new Error(`prlimit failed: ${stderr}`);
}
