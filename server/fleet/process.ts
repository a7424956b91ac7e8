// One life of a worker process: started with its settings, listened to, killed. What its end means is decided in worker.ts.

import { join } from "node:path";
import type { WorkerConfig } from "@oxbow/contract";
import { followLines } from "./lines.ts";

export interface WorkerProcess {
  readonly pid: number;
  /** Resolves as soon as it has ended. Never rejects. */
  readonly exited: Promise<Exit>;
  /** What it last wrote to standard error. To be asked once it has ended; waits until all of it has been read. */
  lastWords(): Promise<string[]>;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/** One of both is null. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

/** A grandchild may hold the pipe open for ever. */
const DRAIN_MS_MAX = 500;

/** For those that cannot see the end of their input: see there. */
const WITH_PARENT = join(import.meta.dir, "with-parent.ts");

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Starts `path` on the Bun that runs us.
 *
 * @param env what the worker's environment is taken from, see `workerEnvironment`
 * @throws what the system says when no process can be started
 */
export function startProcess(
  path: string,
  config: WorkerConfig,
  env: Environment,
  onLine: (line: string) => void,
): WorkerProcess {
  const child = Bun.spawn([process.execPath, "--preload", WITH_PARENT, path, JSON.stringify(config)], {
    // Never written to and never closed: it ends when we do, however we end, and the worker with it.
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
    env: workerEnvironment(env),
    // In a session of its own: Ctrl-C in a terminal reaches every process of the group, and would end the workers while
    // the gateway still waits for the streams that they serve.
    detached: true,
  });
  const lines = followLines(child.stderr, onLine, Date.now);
  return {
    pid: child.pid,
    exited: child.exited.then(() => ({
      code: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
    })),
    async lastWords() {
      await Promise.race([lines.ended, Bun.sleep(DRAIN_MS_MAX)]);
      return lines.last();
    },
    kill: (signal) => child.kill(signal),
  };
}

/**
 * What a worker gets of the environment: what the system, Bun and native libraries need. A list of what passes, because
 * a list of what does not would miss the next secret; and even of these nothing that is named like one.
 */
export function workerEnvironment(env: Environment): Record<string, string> {
  const passes = (name: string) => PASSED.test(name) && !SECRET.test(name);
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => passes(entry[0]) && entry[1] !== undefined),
  );
}

const PASSED =
  /^(PATH|HOME|USER|LANG|TZ|TMPDIR|TERM|NO_COLOR|XDG_.*|LC_.*|BUN_.*|LD_LIBRARY_PATH|LD_PRELOAD|DYLD_.*|MALLOC_.*|CUDA_.*|NVIDIA_.*|HIP_.*|ROC[MR]_.*|VK_.*|GGML_.*|OMP_.*|MKL_.*)$/;
const SECRET = /TOKEN|SECRET|PASSWORD|KEY|AUTH|CREDENTIAL/;
