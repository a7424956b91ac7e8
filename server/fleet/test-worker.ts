// A worker for the fleet's tests: a real process on a real socket that keeps the worker protocol and misbehaves on order.
// `options.lives` says how each life goes, the last one for all that follow; `options.livesFile` counts them.
// A call to a path that ends in /stuck blocks its thread for good; /calls says how many there were.

import { appendFileSync, readFileSync, rmSync, writeSync } from "node:fs";
import type { WorkerConfig } from "@oxbow/contract";

export interface Lives {
  lives: Behaviour[];
  /** A line is added to it for each life. */
  livesFile: string;
}

export interface Behaviour {
  /** Ends at once with this code, its last words on standard error. */
  exit?: number;
  words?: string;
  /** Looks at its health until it is warm. */
  polls?: number;
  /** Never listens. */
  mute?: boolean;
  /** The status that calls are answered with. */
  status?: number;
  /** Ends with code 1 when a call comes. */
  dieOnCall?: boolean;
  /** The body that calls are answered with. */
  answer?: unknown;
  ignoreSigterm?: boolean;
  /** Megabytes written to standard error before listening, as lines or as one. */
  floodMb?: number;
  floodLine?: boolean;
}

const config: WorkerConfig = JSON.parse(process.argv[2]!);
const { lives, livesFile } = config.options as unknown as Lives;
appendFileSync(livesFile, `${process.pid} ${Object.keys(process.env).join(",")}\n`);
const life = readFileSync(livesFile, "utf8").trimEnd().split("\n").length;
const how = lives[Math.min(life, lives.length) - 1]!;

process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
process.on("SIGTERM", () => {
  if (!how.ignoreSigterm) process.exit(0);
});

if (how.floodMb) {
  const piece = `${"x".repeat(1023)}${how.floodLine ? "x" : "\n"}`.repeat(1024);
  for (let mb = 0; mb < how.floodMb; mb++) writeAll(piece);
  writeAll("\nafter the flood\n");
}
if (how.words) writeAll(`${how.words}\n`);
if (how.exit !== undefined) process.exit(how.exit);
if (!how.mute) listen();

function listen() {
  const polls = how.polls ?? 0;
  let polled = 0;
  let calls = 0;
  rmSync(config.socket, { force: true });
  Bun.serve({
    unix: config.socket,
    fetch(request) {
      if (new URL(request.url).pathname === "/health") {
        const progress = Math.min(1, polled / Math.max(1, polls));
        return Response.json({ state: polled++ >= polls ? "warm" : "loading", progress });
      }
      if (new URL(request.url).pathname === "/calls") return Response.json(calls);
      calls++;
      if (how.dieOnCall) process.exit(1);
      if (new URL(request.url).pathname.endsWith("/stuck")) Bun.sleepSync(3_600_000);
      if (how.answer !== undefined) return Response.json(how.answer);
      return Response.json({ pid: process.pid }, { status: how.status ?? 200 });
    },
  });
}

/** Blocks until the reader has taken it, as native code that logs does. */
function writeAll(text: string) {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}
