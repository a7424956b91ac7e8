// Every way in which an accepted call can end, provoked over HTTP: what the ledger says it was, and whether it counted.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { OUTCOMES, type Outcome } from "@oxbow/contract";
import { openUsage } from "../server/ledger/ledger.ts";
import { dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY, newHome, type RunningServer, startServer } from "./harness.ts";
import { HELLO, MODEL } from "./suite.ts";

setDefaultTimeout(30_000);
const data = dataWith(simulatorAlone);
const home = newHome();
const start = () => startServer({ simulate: true, home, env: { OXBOW_DATA: data.folder } });
let server: RunningServer;
beforeAll(async () => {
  server = await start();
});
afterAll(async () => {
  await server.stop();
  data.remove();
  rmSync(home, { recursive: true });
});

async function send(fields: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
    ...(signal && { signal }),
  });
}
async function read(fields: object): Promise<void> {
  await (await send(fields)).text();
}
const SLOWLY = { stream: true, x_simulate: { tokens: 1_000, itlMs: 20 } };

/** Hangs up when the first bytes are there. */
async function leaveAfterFirst(): Promise<void> {
  const response = await send(SLOWLY);
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
}

async function isRunning(): Promise<boolean> {
  const answer = await fetch(`${server.baseUrl}/usage`, { headers: { authorization: `Bearer ${KEY}` } });
  const { today } = (await answer.json()) as { today: { in_flight: number } };
  return today.in_flight > 0;
}

async function leaveBefore(fields: object): Promise<void> {
  const leaving = new AbortController();
  const waiting = send(fields, leaving.signal).catch(() => {});
  await eventually(isRunning, "the call has been let in");
  leaving.abort();
  await waiting;
}

/** In the middle of an answer that takes so long that its reservation, which nobody waits for, is on disk by itself. */
async function dieWithOne(): Promise<void> {
  const reader = (await send(SLOWLY)).body!.getReader();
  for (let events = 0; events < 10; events++) await reader.read();
  server.process.kill("SIGKILL");
  await server.exited;
  server = await start();
}

const fault = (kind: string, more: object = {}) => ({ x_simulate: { fault: { kind, ...more } } });

/** What is refused before it began is no ledger's affair; everything else, in every form. */
const WAYS: Record<Exclude<Outcome, "queue_timeout">, (() => Promise<void>)[]> = {
  complete: [() => read({}), () => read({ stream: true }), () => read({ stream: true, n: 2 })],
  cancelled_after_first_token: [leaveAfterFirst],
  cancelled_before_first_token: [
    () => leaveBefore({ x_simulate: { ttftMs: 5_000 } }),
    () => leaveBefore({ stream: true, x_simulate: { ttftMs: 5_000 } }),
  ],
  client_error: [() => read({ max_tokens: 900_000 })],
  refused: [() => read({ model: "fault-429" })],
  engine_failed: [() => read({ model: "fault-500" }), () => read({ ...fault("html"), stream: true })],
  interrupted: [
    () => read({ ...fault("interrupt", { afterTokens: 3 }), stream: true }),
    () =>
      send({ ...fault("reset", { afterTokens: 3 }), stream: true }).then(
        (response) => void response.text().catch(() => {}),
      ),
  ],
  lost: [dieWithOne],
};

/** Outcomes and units of all that has ended, the newest first. */
function ended(): { outcome: Outcome | null; units: number; tokensIn: number; tokensOut: number }[] {
  const usage = openUsage(home);
  const rows = usage?.rows({}, { limit: 100 })?.rows ?? [];
  usage?.close();
  return rows;
}

const cases = Object.entries(WAYS).flatMap(([outcome, ways]) =>
  ways.map((way, at): [string, Outcome, () => Promise<void>] => [`${outcome} ${at + 1}`, outcome as Outcome, way]),
);

test.each(cases)("%s", async (_, outcome, way) => {
  const before = ended().length;
  await way();
  const rows = await eventually(() => {
    const now = ended();
    return now.length > before ? now : null;
  }, "the call has ended in the ledger");
  expect(rows.length).toBe(before + 1);
  const { units, tokensIn, tokensOut, ...row } = rows[0]!;
  expect([row.outcome, units]).toEqual([outcome, OUTCOMES[outcome].counted ? 1 : 0]);
  if (outcome === "complete") expect(Math.min(tokensIn, tokensOut)).toBeGreaterThan(0);
});
