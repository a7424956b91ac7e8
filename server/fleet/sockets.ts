// A folder for the workers' sockets that nobody else on the machine can enter or guess. There is no other lock on them:
// who can connect to a worker can use its model.

import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A limit of Linux; the longest path that the contract allows a worker. */
const PATH_BYTES_MAX = 107;

export interface SocketFolder {
  /** A path for one more socket. */
  next(): string;
  /** Also removes what servers left behind that were killed. */
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
  const parents = [runtimeDir, tmpdir(), "/tmp"].filter(
    (parent): parent is string => parent !== undefined && parent !== "" && existsSync(parent),
  );
  const folder = parents
    .map((parent) => join(parent, name))
    .find((path) => Buffer.byteLength(path) + "/999.sock".length <= PATH_BYTES_MAX);
  if (folder === undefined) throw new Error("no folder for sockets: the temporary folder's path is too long");
  let count = 0;
  return {
    next: () => join(folder, `${count++}.sock`),
    create() {
      for (const parent of new Set(parents)) removeLeftovers(parent);
      mkdirSync(folder, { mode: 0o700 });
      writeFileSync(join(folder, OWNER), ownerOf(process.pid) ?? "");
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The file in each folder that says whose it is. */
const OWNER = "owner";

/** Folders of ours whose server is gone. What cannot be told apart from a running server's stays. */
function removeLeftovers(parent: string): void {
  for (const name of namesIn(parent)) {
    if (!/^oxbow-[0-9a-f]{16}$/.test(name)) continue;
    const folder = join(parent, name);
    try {
      if (statSync(folder).uid !== process.getuid?.()) continue;
      const [pid, ...rest] = readFileSync(join(folder, OWNER), "utf8").split(" ");
      const now = ownerOf(Number(pid));
      const self = ownerOf(process.pid)?.split(" ");
      // Of a process in another container we cannot know whether it runs.
      if (self === undefined || rest[1] !== self[2]) continue;
      if (now !== [pid, ...rest].join(" ")) rmSync(folder, { recursive: true, force: true });
    } catch {
      // another server is making or removing it at this moment, or it is not ours to read
    }
  }
}

/**
 * Process id, when it started, and in which container: a number alone comes to mean another process.
 * Null when it does not run, or on systems without /proc, where nothing is then removed.
 */
function ownerOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Field 22 of proc_pid_stat(5), counted behind the name, which may hold anything.
    const startedAt = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${pid} ${startedAt} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
