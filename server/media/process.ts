// The process that decodes images: started when the first one comes, started again when it dies, ended when none has come
// for a while. It sees bytes and bounds, and nothing of the environment.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MediaConfig } from "@oxbow/contract";

export interface MediaProcess {
  /**
   * Posts to it.
   * @throws what fetch throws when the process has died meanwhile; the signal's reason
   */
  post(path: string, body: Uint8Array, headers: Record<string, string>, signal: AbortSignal): Promise<Response>;
  /** Ends the one that runs, if one does: what is under way fails. The next post starts another. */
  kill(): void;
  pid(): number | null;
  /** What the one that runs has used; null: none runs, or the system does not tell. */
  usage(): { pid: number; cpuMs: number; rssBytes: number } | null;
}

/** It takes a third of a second to start, and 60 MB while it stands. */
const IDLE_MS_MAX = 120_000;
const START_MS_MAX = 20_000;

export type Environment = Readonly<Record<string, string | undefined>>;

interface Life {
  child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  folder: string;
  socket: string;
  ready: Promise<void>;
}

/**
 * @param program path of workers/media/main.ts
 * @param env of ours: only where programs and libraries are goes on to it
 */
export function createMediaProcess(program: string, env: Environment): MediaProcess {
  let life: Life | null = null;
  let open = 0;
  let idle: ReturnType<typeof setTimeout> | undefined;

  function start(): Life {
    const folder = socketFolder(env.XDG_RUNTIME_DIR);
    const socket = join(folder, "s");
    const config: MediaConfig = { socket };
    const child = Bun.spawn([process.execPath, program, JSON.stringify(config)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: {
        PATH: env.PATH ?? "",
        ...(env.LD_LIBRARY_PATH && { LD_LIBRARY_PATH: env.LD_LIBRARY_PATH }),
      },
      // Ctrl-C in a terminal must not end it before those who wait for it.
      detached: true,
    });
    const started: Life = { child, folder, socket, ready: listening(child) };
    started.ready.catch(() => child.kill("SIGKILL"));
    void child.exited.then(() => {
      if (life === started) life = null;
      rmSync(folder, { recursive: true, force: true });
    });
    child.unref();
    return started;
  }

  function kill(): void {
    clearTimeout(idle);
    life?.child.kill("SIGKILL");
    life = null;
  }

  return {
    async post(path, body, headers, signal) {
      clearTimeout(idle);
      open++;
      life ??= start();
      const used = life;
      try {
        await used.ready;
        const init = { method: "POST", unix: used.socket, body, headers, signal, timeout: false };
        const answer = await fetch(`http://media${path}`, init as RequestInit);
        // Read here, so that a process that dies in the middle of its answer is noticed here too.
        return new Response(await answer.bytes(), { status: answer.status, headers: answer.headers });
      } catch (error) {
        // It is dead or dying, and who comes next must not find it: the system may not have told us yet.
        if (!signal.aborted && life === used) kill();
        throw error;
      } finally {
        if (--open === 0) {
          idle = setTimeout(kill, IDLE_MS_MAX);
          idle.unref();
        }
      }
    },
    kill,
    pid: () => life?.child.pid ?? null,
    usage: () => life && usageOf(life.child.pid),
  };
}

/**
 * Source: Linux, Documentation/filesystems/proc.rst, read 2026-11-21: fields 14 and 15 of `stat` are ticks, of which Linux
 * has a hundred a second for every program; field 24 is pages.
 */
function usageOf(pid: number): ReturnType<MediaProcess["usage"]> {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [user, system, pages] = [fields[11], fields[12], fields[21]].map(Number) as [number, number, number];
    return { pid, cpuMs: 10 * (user + system), rssBytes: pages * PAGE_BYTES };
  } catch {
    return null; // another system, or it has just ended
  }
}

/** Of nearly every machine. Where pages are larger the bound on memory is looser. */
const PAGE_BYTES = 4_096;

/** Only we can enter it. A temporary folder can be too deep for a socket's path, which has 107 bytes. */
function socketFolder(runtimeDir: string | undefined): string {
  const parents = [runtimeDir, tmpdir(), "/tmp"].filter((each) => each !== undefined && each !== "");
  for (const parent of parents) {
    if (Buffer.byteLength(parent!) > 80) continue;
    try {
      return mkdtempSync(join(parent!, "oxbow-media-"));
    } catch {} // not there, or not ours to write to: the next one
  }
  throw new Error("no folder for a socket");
}

/** Resolves with its first word. */
async function listening(child: Life["child"]): Promise<void> {
  const late = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
  const { done } = await child.stdout.getReader().read();
  clearTimeout(late);
  if (done) throw new Error("the media process did not start");
}
