// Kills the server again and again while clients stream, and counts afterwards: what a client has seen the end of must be
// in the ledger exactly once, and what was lost must come back under its Idempotency-Key without being counted again.

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { openLedger } from "../../server/ledger/ledger.ts";
import { dataWith, simulatorAlone } from "../data.ts";
import { collect, freePort, isReady, KEY, newHome, spawnServer } from "../harness.ts";
import { HELLO, MODEL } from "../suite.ts";
import { readLedger } from "./read-ledger.ts";

export interface CrashOptions {
  rounds: number;
  /** Clients at the same time. */
  streams: number;
  random: () => number;
  /** Told after every round. */
  onRound?: (round: number) => void;
}

export interface CrashReport {
  kills: number;
  /** Calls whose whole answer a client has seen. */
  delivered: number;
  deliveredUnbilled: number;
  billedTwice: number;
  /** What the ledger took to open on what a kill left, and to make void what was open. */
  recoveryMsMax: number;
  /** From the start of the process until it is ready, with its recovery; and of a start with nothing to recover. */
  bootMsMax: number;
  firstBootMs: number;
  integrity: string;
  /** Counted before a kill, and the end never seen. */
  lastBytesLost: number;
  /** Of these, how many a repeat has got, not counted a second time. */
  replayedUnbilled: number;
}

/** One call that a client wants answered, however often it has to ask. */
interface Task {
  key: string;
  tokens: number;
  itlMs: number;
  delivered: boolean;
  replayed: boolean;
}

export async function crash({ rounds, streams, random, onRound }: CrashOptions): Promise<CrashReport> {
  const home = newHome();
  const data = dataWith(simulatorAlone);
  const tasks: Task[] = [];
  const lost = new Set<string>();
  const open: Task[] = [];
  let bootMsMax = 0;
  let firstBootMs = 0;
  let recoveryMsMax = 0;
  let kills = 0;

  const newTask = (): Task => {
    const key = `task-${tasks.length}`;
    const task = { key, tokens: 1 + Math.floor(random() * 30), itlMs: random() * 3, delivered: false, replayed: false };
    tasks.push(task);
    return task;
  };

  try {
    for (let round = 1; round <= rounds; round++) {
      const server = await boot(home, data.folder);
      if (round === 1) firstBootMs = server.bootMs;
      else bootMsMax = Math.max(bootMsMax, server.bootMs);
      // What was cut off is asked for again first, then new work until the end.
      const client = clientOf(server.port);
      const again = open.splice(0);
      const running = Array.from({ length: streams }, async () => {
        for (;;) {
          const task = again.pop() ?? newTask();
          open.push(task);
          if (!(await attempt(client, task))) return;
          open.splice(open.indexOf(task), 1);
        }
      });
      await Bun.sleep(100 + random() * 500);
      server.process.kill("SIGKILL");
      kills++;
      await Promise.all([server.process.exited, ...running]);
      open.push(...again);
      const settled = settledKeys(home);
      recoveryMsMax = Math.max(recoveryMsMax, await recoveryMs(home));
      for (const task of open) if (settled.has(task.key)) lost.add(task.key);
      onRound?.(round);
    }
    const server = await boot(home, data.folder);
    bootMsMax = Math.max(bootMsMax, server.bootMs);
    const client = clientOf(server.port);
    await Promise.all(open.map((task) => attempt(client, task)));
    server.process.kill("SIGTERM");
    await server.process.exited;

    const { billed, settlements, integrity } = readLedger(home);
    const delivered = tasks.filter((task) => task.delivered);
    return {
      kills,
      delivered: delivered.length,
      deliveredUnbilled: delivered.filter(({ key }) => !billed.has(key)).length,
      // Every call has its key, so what is settled beyond one for each key was counted twice.
      billedTwice: settlements - billed.size,
      recoveryMsMax,
      bootMsMax,
      firstBootMs,
      integrity,
      lastBytesLost: lost.size,
      replayedUnbilled: tasks.filter(({ key, replayed }) => replayed && lost.has(key) && billed.has(key)).length,
    };
  } finally {
    data.remove();
    rmSync(home, { recursive: true, force: true });
  }
}

function clientOf(port: number): OpenAI {
  return new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: KEY, maxRetries: 0 });
}

async function boot(home: string, folder: string) {
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawnServer(home, port, { simulate: true, env: { OXBOW_DATA: folder } });
  const logs = collect(child);
  if (!(await isReady(port, child, 20_000))) throw new Error(`the server did not come back; it said:\n${logs()}`);
  return { port, process: child, bootMs: performance.now() - startedMs };
}

/** Asks once. @returns whether the whole answer was seen; false when the server died meanwhile */
async function attempt(client: OpenAI, task: Task): Promise<boolean> {
  const { key, tokens, itlMs } = task;
  const body = { model: MODEL, messages: HELLO, stream: true as const, x_simulate: { tokens, itlMs, ttftMs: 1 } };
  try {
    const call = client.chat.completions.create(body, { headers: { "Idempotency-Key": key } });
    const { data: stream, response } = await call.withResponse();
    let finish: string | null | undefined = null;
    for await (const chunk of stream) finish = chunk.choices[0]?.finish_reason ?? finish;
    task.delivered = finish !== null;
    task.replayed = response.headers.get("idempotent-replayed") === "true";
    return task.delivered;
  } catch (error) {
    if (error instanceof OpenAI.APIError && error.status !== undefined) throw error;
    return false; // cut off
  }
}

/** The keys of settled calls. */
function settledKeys(home: string): Set<string> {
  const copy = copyOf(home);
  try {
    return readLedger(copy).billed;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

async function recoveryMs(home: string): Promise<number> {
  const copy = copyOf(home);
  try {
    const startedMs = performance.now();
    const ledger = await openLedger({ home: copy, now: Date.now });
    const ms = performance.now() - startedMs;
    await ledger.close();
    return ms;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

/** The ledger alone: the next start finds the files as the kill has left them. */
function copyOf(home: string): string {
  const copy = mkdtempSync(join(tmpdir(), "oxbow-crash-"));
  for (const end of ["", "-wal"]) {
    cpSync(join(home, `ledger.db${end}`), join(copy, `ledger.db${end}`), { force: true, recursive: true });
  }
  return copy;
}
