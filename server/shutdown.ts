// How the server ends: asked by a signal, or with its terminal. Nothing new is taken, what runs may end, then the rest is cut off.

import { closeSync, openSync } from "node:fs";
import type { Server } from "bun";

export interface ShutdownOptions {
  /** How long running calls may take to end. */
  drainMsMax: number;
  /** To the operator. */
  say(text: string): void;
}

export interface Steps {
  /** Who waits in line is refused. */
  refuse(): void;
  /** Who still runs is told that he is cut off. */
  cut(): void;
  /** Everything is written and given back. */
  close(): Promise<void>;
}

export interface Shutdown {
  /** From here on signals are obeyed. */
  begin(server: Server<undefined>, steps: Steps): void;
  /** The server has been told to stop. */
  draining(): boolean;
}

export function createShutdown({ drainMsMax, say }: ShutdownOptions): Shutdown {
  let draining = false;

  async function drain(signal: string, server: Server<undefined>, { refuse, cut, close }: Steps): Promise<void> {
    if (draining) process.exit(1); // asked twice: at once. Workers see the end of their input and go too.
    draining = true;
    say(`\n${signal}: finishing ${server.pendingRequests} requests, taking no more`);
    refuse();
    void server.stop();
    const until = performance.now() + drainMsMax;
    while (server.pendingRequests > 0 && performance.now() < until) await Bun.sleep(DRAIN_POLL_MS);
    cut();
    const last = performance.now() + LAST_WORDS_MS_MAX;
    while (server.pendingRequests > 0 && performance.now() < last) await Bun.sleep(DRAIN_POLL_MS);
    await server.stop(true);
    await close();
    process.exit(0);
  }

  return {
    draining: () => draining,
    begin(server, steps) {
      for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => void drain(signal, server, steps));
      // SIGHUP asks for the tables to be read again, and says as well that the terminal is gone. The launcher passes it on,
      // so it may come twice.
      const onTerminal = hasTerminal();
      process.on("SIGHUP", () => {
        if (onTerminal && !hasTerminal() && !draining) void drain("SIGHUP", server, steps);
      });
    },
  };
}

const DRAIN_POLL_MS = 20;
/** For who is cut off to be told so. Who does not read what he is sent hears nothing. */
const LAST_WORDS_MS_MAX = 500;

/** Whether there is a terminal whose closing should end this process. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false; // none, or none any more
  }
}
