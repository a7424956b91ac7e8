// Starts the real server as its users do, `oxbow up`, in a home of its own, and ends it with everything it started.
// Clients talk to it through a tap, so that every answer they got can be held to the contract afterwards.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { violationsOf } from "./contract.ts";
import { openTap, type Tap } from "./tap.ts";

export const ROOT = join(import.meta.dir, "..");
export const KEY = "oxb_test_00000000000000000000000000000000";

export interface StartOptions {
  /** Serves the whole catalogue by the simulator. */
  simulate?: boolean;
  /** Added to the environment of the server. */
  env?: Record<string, string>;
  /** A home that outlives this server. Without it the home is new, and removed at the end. */
  home?: string;
  /** How long the start may take. */
  readyMs?: number;
  /** Time of the UTC day at which the server's clock starts, milliseconds. Without it: the real one. */
  timeOfDayMs?: number;
}

/** For tests of a day's quota: far from the midnight at which it would open again. */
export const NOON_MS = 12 * 3_600_000;

export interface RunningServer {
  /** Base URL for clients, through the tap. */
  baseUrl: string;
  /** The port behind the tap. */
  port: number;
  home: string;
  pid: number;
  tap: Tap;
  process: Bun.Subprocess;
  /** What the server has written to standard output and error so far. */
  logs(): string;
  /** Resolves with the exit code once the server has ended, however that came about. */
  exited: Promise<number>;
  /** Asks the server to end, makes it end when it does not, and removes its home. */
  stop(): Promise<void>;
  /** @throws Error that lists every exchange so far in which the server broke the contract */
  assertTraffic(): void;
}

/**
 * Starts `oxbow up` on a free port of loopback and waits until it says that it is ready.
 *
 * @throws Error with the server's output when it ends, or is not ready within `readyMs` (60 s)
 */
export async function startServer(options: StartOptions = {}): Promise<RunningServer> {
  const home = options.home ?? newHome();
  const port = await freePort();
  const child = spawnServer(home, port, options);
  const logs = collect(child);
  const tap = await openTap(port);

  const stop = async () => {
    tap.close();
    await end(child);
    if (!options.home) rmSync(home, { recursive: true, force: true });
  };
  const readyMs = options.readyMs ?? 60_000;
  if (!(await isReady(port, child, readyMs))) {
    const what =
      child.exitCode === null ? `did not get ready within ${readyMs} ms` : `ended with code ${child.exitCode}`;
    await stop();
    throw new Error(`the server ${what}; it said:\n${logs()}`);
  }
  return {
    baseUrl: `http://127.0.0.1:${tap.port}/v1`,
    port,
    home,
    pid: child.pid,
    tap,
    process: child,
    logs,
    exited: child.exited,
    stop,
    assertTraffic: () => {
      const found = tap.exchanges().flatMap(violationsOf);
      if (found.length > 0)
        throw new Error(`${found.length} violations of the contract:\n${found.slice(0, 20).join("\n")}`);
    },
  };
}

export function newHome(): string {
  return mkdtempSync(join(tmpdir(), "oxbow-test-"));
}

/** The command itself, for tests that watch it fail. */
export function spawnServer(
  home: string,
  port: number,
  { simulate, env, timeOfDayMs }: StartOptions = {},
): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const clock = timeOfDayMs === undefined ? [] : ["--preload", join(ROOT, "test/clock.ts")];
  // A server watches nobody; this one is not to outlive the tests, also when they are killed.
  const preload = ["--preload", join(ROOT, "server/fleet/with-parent.ts")];
  const up = [join(ROOT, "cli/main.ts"), "up", ...(simulate ? ["--simulate"] : [])];
  const command = [process.execPath, ...preload, ...clock, ...up];
  return Bun.spawn(command, {
    cwd: home,
    // Nothing of the developer's own settings reaches a test.
    env: {
      PATH: process.env.PATH,
      HOME: home,
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65535",
      OXBOW_HOME: home,
      OXBOW_BOOTSTRAP_KEY: KEY,
      PORT: String(port),
      ...(timeOfDayMs === undefined ? {} : { TEST_CLOCK_SHIFT_MS: String(timeOfDayMs - (Date.now() % DAY_MS)) }),
      ...env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

const DAY_MS = 86_400_000;

/** Reads both outputs of a process as they come; the returned function tells what has come. */
export function collect(child: Bun.Subprocess<"ignore" | "pipe", "pipe", "pipe">): () => string {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    void (async () => {
      const decoder = new TextDecoder();
      for await (const piece of stream) text += decoder.decode(piece, { stream: true });
    })();
  }
  return () => text;
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Waits until the server says that it is ready; false when it ends, or will never be. */
export async function isReady(port: number, child: Bun.Subprocess, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (Date.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => null);
    if (answer?.ok) return true;
    const { models } = answer ? ((await answer.json()) as { models: { state: string }[] }) : { models: [] };
    // What has failed for good will not be ready, however long one waits.
    if (models.length > 0 && !models.some(({ state }) => state === "loading" || state === "cold")) return false;
    await Bun.sleep(50);
  }
  return false;
}

/** Waits until every engine is there: a server is ready when each of its models has one. */
export function allWarm(port: number): Promise<true> {
  const look = async () => {
    const list = await fetch(`http://127.0.0.1:${port}/v1/engines`, { headers: { authorization: `Bearer ${KEY}` } });
    const { data } = (await list.json()) as { data: { state: string }[] };
    return data.every(({ state }) => state === "warm");
  };
  return eventually(look, "every engine is warm", 60_000) as Promise<true>;
}

/** Ends a process: politely, and after ten seconds for good. */
export async function end(child: Bun.Subprocess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await child.exited;
  clearTimeout(timer);
}

/** Waits until `condition` holds. For what the outside world does and nobody announces. */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  what: string,
  withinMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`did not happen within ${withinMs} ms: ${what}`);
    await Bun.sleep(20);
  }
}
