// Plans that are read again while a server runs: a cap holds from the next call on, a stream that runs goes on, and a file with
// an error changes nothing.

import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { adminPlan, dataWith, type PlanTable, simulatorAlone } from "./data.ts";
import { eventually, KEY, ROOT } from "./harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "./suite.ts";

const wide = { requestsPerDay: 1_000, requestsPerMinute: 6_000, concurrencyMax: 8, outputTokensMax: 1_000 };
const data = dataWith(simulatorAlone, adminPlan(wide));
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });

const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
const send = (fields: object) =>
  fetch(`${server().baseUrl}/chat/completions`, {
    method: "POST",
    headers,
    body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
  });

function writePlans(fields: Record<string, unknown>): void {
  const file = join(data.folder, "plans.yaml");
  const table = parse(readFileSync(file, "utf8")) as PlanTable;
  adminPlan(fields)(table);
  writeFileSync(file, stringify(table));
}

/** The day's limit that answers tell. */
async function limitToday(): Promise<number> {
  const answer = await fetch(`${server().baseUrl}/models`, { headers });
  await answer.text();
  return Number(answer.headers.get("x-ratelimit-limit-requests-day"));
}

/** The operator's command. */
async function reload(): Promise<{ code: number; said: string }> {
  const child = Bun.spawn([process.execPath, join(ROOT, "cli/main.ts"), "plans", "reload"], {
    env: { PATH: process.env.PATH, HOME: server().home, OXBOW_HOME: server().home },
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
  return { code: await child.exited, said };
}

/** A stream of which the first event has come. */
async function startStream(tokens: number) {
  const response = await send({ stream: true, x_simulate: { tokens, itlMs: 40 } });
  expect(response.status).toBe(200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const { value: first } = await reader.read();
  return async () => {
    let text = first!;
    for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value;
    return text;
  };
}

const bySignal = async () => {
  server().process.kill("SIGHUP");
};
const byCommand = async () => expect(await reload()).toMatchObject({ code: 0 });

test.each([
  ["SIGHUP", bySignal, 701],
  ["oxbow plans reload", byCommand, 702],
] as const)(
  "%s: a lower cap holds from the next call on, and the stream that runs is not dropped",
  async (_, tell, day) => {
    const rest = await startStream(40);
    writePlans({ requestsPerDay: day, concurrencyMax: 1, outputTokensMax: 2 });
    await tell();
    await eventually(async () => (await limitToday()) === day, "answers tell the new limit");
    // The stream counts against the new cap, though it was let in under the old one.
    const refused = await send({});
    expect(refused.status).toBe(429);
    expect(await refused.text()).toContain("allows 1 at the same time, and 1 is running");
    const text = await rest();
    expect(text).toEndWith("data: [DONE]\n\n");
    expect(text.match(/"content":"[^"]/g)!.length).toBeGreaterThan(30);
    const cut = await send({ max_tokens: 50 });
    expect([cut.status, cut.headers.get("x-oxbow-max-tokens-clamped")]).toEqual([200, "2"]);
    expect(await cut.json()).toMatchObject({ usage: { completion_tokens: 2 } });
    writePlans(wide);
    await tell();
    await eventually(async () => (await limitToday()) === wide.requestsPerDay, "the old limit is back");
    expect((await send({ max_tokens: 50 })).headers.get("x-oxbow-max-tokens-clamped")).toBeNull();
  },
);

test("whoever signals again and again does not stop the server, and the last file is in force", async () => {
  const readings = () => server().logs().split('"plans reloaded"').length;
  const before = readings();
  const stormed = Array.from({ length: 40 }, async (_, turn) => {
    await Bun.sleep(25 * turn);
    if (turn === 39) writePlans({ ...wide, requestsPerDay: 888 });
    server().process.kill("SIGHUP");
  });
  expect((await send({})).status).toBe(200);
  await Promise.all(stormed);
  await eventually(async () => (await limitToday()) === 888, "the last file is in force");
  expect(readings() - before).toBeLessThanOrEqual(5);
  writePlans(wide);
  await byCommand();
});

test("a file with an error leaves the old plans in force, says where the error is, and drops nothing", async () => {
  const rest = await startStream(20);
  writePlans({ requestsPerDay: -5 });
  const { code, said } = await reload();
  expect(code).not.toBe(0);
  expect(said).toContain("plans.yaml");
  expect(said).toContain("requestsPerDay");
  expect(await limitToday()).toBe(wide.requestsPerDay);
  const before = server().logs().split("plans not reloaded").length;
  writeFileSync(join(data.folder, "plans.yaml"), "sold: [\n");
  await bySignal();
  await eventually(() => server().logs().split("plans not reloaded").length > before, "the log says so");
  expect(await limitToday()).toBe(wide.requestsPerDay);
  expect((await send({})).status).toBe(200);
  expect(await rest()).toEndWith("data: [DONE]\n\n");
});

testTraffic(server);
