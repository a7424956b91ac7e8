// The order on which "counted once" stands, as the system sees it: a settlement is written and synced before the first byte of
// what makes an answer complete leaves. `kill -9` cannot show this, for what a process has written outlives it unsynced.

import { afterAll, expect, test } from "bun:test";
import { dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY } from "./harness.ts";
import { HELLO, MODEL, useServer } from "./suite.ts";
import { haveStrace, type SystemCall, traced } from "./trace.ts";

const canTrace = haveStrace();
const unless = canTrace ? "" : " (not run: it needs root, and strace: apt-get install strace)";

const data = dataWith(simulatorAlone);
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });

/** Calls past the tap, which is no part of the server. @returns the request's id, once its settlement can be read */
async function call(fields: object): Promise<string> {
  const base = `http://127.0.0.1:${server().port}/v1`;
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: MODEL, messages: HELLO, ...fields });
  const response = await fetch(`${base}/chat/completions`, { method: "POST", headers, body });
  expect(response.status).toBe(200);
  await response.text();
  const id = response.headers.get("x-request-id")!;
  // So that a settlement that came too late would be in the trace.
  await eventually(
    async () => (await (await fetch(`${base}/usage`, { headers })).text()).includes(id),
    "it is settled",
  );
  return id;
}

const WRITES = ["pwrite64", "pwritev", "write", "writev"];
const SENDS = ["sendto", "sendmsg", "write", "writev"];
const SYNCS = ["fsync", "fdatasync"];
const isLog = ({ file }: SystemCall) => file.endsWith("ledger.db-wal");

test.if(canTrace).each([
  ["a whole answer", {}, '"finish_reason":"stop"'],
  ["a stream that is over in a moment", { stream: true }, '"finish_reason":"stop"'],
  ["a stream that lasts", { stream: true, x_simulate: { tokens: 10, itlMs: 20 } }, '"finish_reason":"'],
] as const)(`the settlement is synced before the end of the answer leaves: %s${unless}`, async (_, fields, end) => {
  let id = "";
  const calls = await traced(server().pid, [...new Set([...WRITES, ...SENDS, ...SYNCS])], async () => {
    id = await call(fields);
  });
  const packed = Buffer.from(id.slice("req_".length), "hex");
  const written = calls.filter((each) => WRITES.includes(each.name) && isLog(each) && each.bytes.includes(packed));
  const sent = calls.filter((each) => SENDS.includes(each.name) && !isLog(each) && each.bytes.includes(end));
  expect(written.length).toBeGreaterThan(0);
  expect(sent.length).toBeGreaterThan(0);
  const lastWrite = Math.max(...written.map(({ endedAt }) => endedAt ?? Number.POSITIVE_INFINITY));
  const firstSend = Math.min(...sent.map(({ beganAt }) => beganAt));
  // Behind the last write about this request, and done before the first byte of its end.
  const synced = calls.filter(
    (each) =>
      SYNCS.includes(each.name) &&
      isLog(each) &&
      each.result === 0 &&
      each.beganAt > lastWrite &&
      (each.endedAt ?? Number.POSITIVE_INFINITY) < firstSend,
  );
  expect(synced.length).toBeGreaterThan(0);
});
