// A folder for the workers' sockets that nobody else on the machine can enter or guess. There is no other lock on them:
// who can connect to a worker can use its model.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A limit of Linux; the longest path that the contract allows a worker. */
const PATH_BYTES_MAX = 107;

export interface SocketFolder {
  /** A path for one more socket. */
  next(): string;
  create(): void;
  /** With all that is in it. */
  remove(): void;
}

/**
 * Chooses a place; nothing is made before `create`.
 *
 * @param runtimeDir the user's own folder for such things (`XDG_RUNTIME_DIR`), if the system has one
 */
export function socketFolder(runtimeDir: string | undefined): SocketFolder {
  const name = `oxbow-${randomBytes(8).toString("hex")}`;
  // A temporary folder can itself be too deep: tests and sandboxes nest them.
  const folder = [runtimeDir, tmpdir(), "/tmp"]
    .filter((parent) => parent !== undefined && parent !== "" && existsSync(parent))
    .map((parent) => join(parent!, name))
    .find((path) => Buffer.byteLength(path) + "/999.sock".length <= PATH_BYTES_MAX);
  if (folder === undefined) throw new Error("no folder for sockets: the temporary folder's path is too long");
  let count = 0;
  return {
    next: () => join(folder, `${count++}.sock`),
    create: () => mkdirSync(folder, { mode: 0o700 }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
