// The line of a busy model over HTTP: who goes first, and what the operator sees of it.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { dataWith } from "./data.ts";
import { eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { makeMember } from "./members.ts";

setDefaultTimeout(20_000);

/** One that every plan has. */
const MODEL = "mistral-7b";

let server: RunningServer;
const keys: Record<string, string> = { admin: KEY };
const data = dataWith(({ engines }) => {
  engines.simulator!.slots = 1;
});

beforeAll(async () => {
  server = await startServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
  for (const plan of ["free", "pro", "premium"]) keys[plan] = await makeMember(server.home, `an ${plan} caller`, plan);
}, 90_000);
afterAll(async () => {
  await server.stop();
  data.remove();
});

const headersOf = (who: string) => ({ authorization: `Bearer ${keys[who]}`, "content-type": "application/json" });

async function call(who: string, ttftMs: number): Promise<string> {
  const body = { model: MODEL, messages: [{ role: "user", content: "Hi" }], x_simulate: { ttftMs, tokens: 1 } };
  const options = { method: "POST", headers: headersOf(who), body: JSON.stringify(body) };
  const response = await fetch(`${server.baseUrl}/chat/completions`, options);
  if (!response.ok) throw new Error(await response.text());
  await response.text();
  return who;
}

interface Report {
  data: { id: string; object: string; classes: { priority: string; depth: number; admitted: number }[] }[];
}

async function report(): Promise<Record<string, { depth: number; admitted: number }>> {
  const response = await fetch(`${server.baseUrl}/queue`, { headers: headersOf("admin") });
  expect(response.status).toBe(200);
  const { data } = (await response.json()) as Report;
  const classes = data.find(({ id }) => id === MODEL)?.classes ?? [];
  return Object.fromEntries(classes.map(({ priority, ...rest }) => [priority, rest]));
}

/** The report, once `class_` stands like this. */
const once = (class_: string, field: "depth" | "admitted", count: number) =>
  eventually(async () => {
    const now = await report();
    return now[class_]?.[field] === count ? now : null;
  }, `${class_} has ${field} ${count}`);

test("callers of a busy model go by plan, and the operator sees them wait", async () => {
  const order: string[] = [];
  const begun = (who: string) => call(who, 50).then((done) => order.push(done));
  const first = call("admin", 1_500);
  await once("dedicated", "admitted", 1);
  const line = [begun("free")];
  await once("best_effort", "depth", 1);
  line.push(begun("pro"));
  await once("high", "depth", 1);
  line.push(begun("premium"));
  await once("highest", "depth", 1);
  await Promise.all([first, ...line]);
  expect(order).toEqual(["premium", "pro", "free"]);
  const after = await report();
  for (const priority of ["dedicated", "highest", "high", "best_effort"]) {
    expect(after[priority]).toMatchObject({ depth: 0, admitted: 1, shed: 0, expired: 0, cancelled: 0 });
  }
});

test("a caller who hangs up is gone from the line", async () => {
  const first = call("admin", 1_000);
  const caller = new AbortController();
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hi" }] });
  const options = { method: "POST", headers: headersOf("pro"), body, signal: caller.signal };
  const gone = fetch(`${server.baseUrl}/chat/completions`, options).catch(() => "gone");
  await once("high", "depth", 1);
  caller.abort();
  expect(await gone).toBe("gone");
  expect((await once("high", "depth", 0)).high).toMatchObject({ cancelled: 1, admitted: 1 });
  await first;
});

test("nobody but the operator sees who waits", async () => {
  const response = await fetch(`${server.baseUrl}/queue`, { headers: headersOf("premium") });
  expect(response.status).toBe(403);
  expect(await response.json()).toMatchObject({ error: { code: "insufficient_permissions" } });
});
