// A split over HTTP: callers ask for one model, two answer, and what each caller pays and may do is that of the one he asked
// for.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { openUsage } from "../server/ledger/ledger.ts";
import { dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY, ROOT, type RunningServer, startServer } from "./harness.ts";
import { HELLO } from "./suite.ts";

setDefaultTimeout(60_000);
const ASKED = "llama-3.3-70b";
const OTHER = "qwen-3-32b";
const data = dataWith(simulatorAlone);
const say = (table: object) => writeFileSync(join(data.folder, "traffic.yaml"), stringify(table));
const half = { model: ASKED, weight: 1 };
say({ splits: { [ASKED]: { sticky: "user", targets: [half, { model: OTHER, weight: 1 }] } } });

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
});
afterAll(async () => {
  await server.stop();
  data.remove();
});

async function ask(user: string, fields: object = {}, path = "chat/completions"): Promise<string> {
  const answer = await fetch(`${server.baseUrl}/${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: ASKED, messages: HELLO, user, ...fields }),
  });
  return answer.text();
}
const modelIn = (text: string) => /"model":"([^"]*)"/.exec(text)?.[1];
const users = Array.from({ length: 40 }, (_, index) => `user-${index}`);

test("users are shared out, each stays where he is, and the answer names the model that made it", async () => {
  const first = await Promise.all(users.map((user) => ask(user).then(modelIn)));
  expect(new Set(first)).toEqual(new Set([ASKED, OTHER]));
  expect(await Promise.all(users.map((user) => ask(user, { stream: true }).then(modelIn)))).toEqual(first);
  const responses = users.map((user) => ask(user, { input: "Hello", messages: undefined }, "responses"));
  expect((await Promise.all(responses)).filter((text) => !text.includes('"error":null'))).toEqual([]);
});

test("the ledger has what was asked for, metrics have both", async () => {
  const usage = openUsage(server.home)!;
  const models = usage.groups({}, "model").map(({ name, requests }) => [name, requests]);
  usage.close();
  expect(models).toEqual([[ASKED, 120]]);
  const metrics = await fetch(`http://127.0.0.1:${server.port}/metrics`, {
    headers: { authorization: `Bearer ${KEY}` },
  });
  expect(await metrics.text()).toContain(`gen_ai_request_model="${ASKED}",gen_ai_response_model="${OTHER}"`);
});

interface Side {
  model: string;
  side: string;
  calls: number;
  errors: number;
  tokensOut: number;
  ttft: { p50: number | null };
  duration: { p50: number; p99: number };
}
async function report(...more: string[]): Promise<string> {
  const child = Bun.spawn(
    [process.execPath, join(ROOT, "cli/main.ts"), "split", "report", "--home", server.home, ...more],
    {
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  return new Response(child.stdout).text();
}

test("the report tells the sides apart", async () => {
  await ask("user-x", { messages: 7 }); // refused on whichever side it was
  const sides = await eventually(async () => {
    const found = JSON.parse(await report("--json")) as Side[];
    return found.reduce((sum, { calls }) => sum + calls, 0) === 121 ? found : null;
  }, "all calls are in the report");
  expect(sides.map(({ side }) => side).sort()).toEqual([ASKED, OTHER]);
  for (const { calls, tokensOut, ttft, duration } of sides) {
    expect(calls).toBeGreaterThan(20);
    expect(tokensOut).toBeGreaterThan(calls);
    expect(ttft.p50).not.toBeNull();
    expect(duration.p99).toBeGreaterThanOrEqual(duration.p50);
  }
  expect(await report()).toContain(OTHER);
  expect(JSON.parse(await report("--json", "--since", "0"))).toEqual([]);
});

test("another table holds from the next call on; one with an error changes nothing", async () => {
  const all = async () => new Set(await Promise.all(users.map((user) => ask(user).then(modelIn))));
  say({ splits: { [ASKED]: { targets: [half, { model: "nobody", weight: 1 }] } } });
  server.process.kill("SIGHUP");
  await eventually(() => server.logs().includes("traffic not reloaded"), "the log says why");
  expect(server.logs()).toContain(`splits.${ASKED}.targets[1].model 'nobody' is not in models.yaml`);
  expect(await all()).toEqual(new Set([ASKED, OTHER]));
  say({});
  server.process.kill("SIGHUP");
  await eventually(async () => (await all()).size === 1, "nothing is split any more");
  expect(await all()).toEqual(new Set([ASKED]));
});

test("a side can be some of a model's engines", async () => {
  const own = dataWith((table) => {
    simulatorAlone(table);
    const engine = { kind: "simulator", models: [{ id: ASKED }], slots: 16, threads: 1 };
    Object.assign(table.engines, { old: { ...engine, tags: ["old"] }, new: { ...engine, tags: ["new"] } });
  });
  const targets = [
    { tag: "old", weight: 1 },
    { tag: "new", weight: 1 },
  ];
  writeFileSync(join(own.folder, "traffic.yaml"), stringify({ splits: { [ASKED]: { sticky: "user", targets } } }));
  const other = await startServer({ simulate: true, env: { OXBOW_DATA: own.folder } });
  const before = server;
  server = other;
  try {
    for (let round = 0; round < 2; round++) expect(await Promise.all(users.map((user) => ask(user)))).toHaveLength(40);
    const sides = await eventually(async () => {
      const found = JSON.parse(await report("--json")) as Side[];
      return found.reduce((sum, { calls }) => sum + calls, 0) === 80 ? found : null;
    }, "all calls are in the report");
    expect(sides.map(({ side }) => side).sort()).toEqual([`${ASKED} tag:new`, `${ASKED} tag:old`]);
    const byEngine = new Map<string, number>();
    for (const line of other.logs().split("\n")) {
      const { engine, msg } = line.startsWith("{") ? JSON.parse(line) : {};
      if (msg === "request" && engine) byEngine.set(engine, (byEngine.get(engine) ?? 0) + 1);
    }
    for (const { side, calls } of sides) expect(byEngine.get(side.endsWith("new") ? "new" : "old")).toBe(calls);
  } finally {
    server = before;
    await other.stop();
    own.remove();
  }
});

test("no answer broke the contract", () => server.assertTraffic());
