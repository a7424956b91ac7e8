// The port: opens it, and says in one line why it cannot be opened.

import type { Server } from "bun";
import { StartError } from "./checks.ts";

/** Silence of a connection on which no call runs; seconds. */
const IDLE_S = 30;

interface Address {
  host: string;
  port: number;
}

/**
 * @param handle the gateway's; it is told how to lift the bound on silence while the call it has begun lasts
 * @throws StartError where the address cannot be had
 */
export function listen(
  { host, port }: Address,
  handle: (request: Request, lift: (isLifted: boolean) => void) => Response | Promise<Response>,
  idleS: number = IDLE_S,
): Server<undefined> {
  try {
    const server: Server<undefined> = Bun.serve({
      hostname: host,
      port,
      // Cuts who connects and says nothing, and who does not fetch his answer. Lifted for each call while it lasts: our own
      // deadlines hold then.
      idleTimeout: idleS,
      // Ours is lower and answers with an envelope; this one would answer with an empty page. What we do not read is not
      // taken from the wire either.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request) => handle(request, (isLifted) => server.timeout(request, isLifted ? 0 : idleS)),
    });
    return server;
  } catch (error) {
    throw describeListenError(error, { host, port });
  }
}

/** As callers on this machine write it. */
export function baseUrlOf(host: string, port: number | undefined): string {
  return `http://${urlHost(host)}:${port}/v1`;
}

function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}

/** What to say when listening fails; what is no such failure is returned as it is. */
export function describeListenError(error: unknown, { host, port }: { host: string; port: number }): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") {
    const next = port < 65_535 ? port + 1 : 8080;
    const text = `Port ${port} on ${host} is taken by another program. Choose another, for example PORT=${next} npm start.`;
    return new StartError(text, { cause: error });
  }
  if (code === "EACCES") {
    const text = `This user may not listen on port ${port}. Choose one from 1024 on, for example PORT=8080 npm start.`;
    return new StartError(text, { cause: error });
  }
  // ENOENT: a name that nobody knows.
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "ENOENT") {
    const text = `This machine has no address ${host}. Set HOST to one that it has: 127.0.0.1, or 0.0.0.0 for all.`;
    return new StartError(text, { cause: error });
  }
  return error;
}
