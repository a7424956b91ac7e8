// Recording and replay: off until the operator names an account, redacted, and sent again to wherever one likes.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY, ROOT, type RunningServer, startServer } from "./harness.ts";
import { TWO_CITIES, WEATHER } from "./suite.ts";

setDefaultTimeout(60_000);
const MODEL = "llama-3.3-70b";
const data = dataWith(simulatorAlone);
let server: RunningServer;
let account: string;
let otherKey: string;
beforeAll(async () => {
  server = await startServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
  account = (JSON.parse((await oxbow("accounts", "list", "--json")).out) as { id: string }[])[0]!.id;
  await oxbow("accounts", "create", "other");
  otherKey = (await oxbow("keys", "create", "--account", "other", "--name", "x")).out.trim();
});
afterAll(async () => {
  await server.stop();
  data.remove();
});

async function oxbow(...args: string[]): Promise<{ out: string; err: string; code: number }> {
  const home = ["models", "replay"].includes(args[0]!) ? [] : ["--home", server.home];
  const child = Bun.spawn([process.execPath, join(ROOT, "cli/main.ts"), ...args, ...home], {
    env: { ...process.env, OXBOW_HOME: server.home, OXBOW_DATA: data.folder, OXBOW_API_KEY: KEY },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { out, err, code: await child.exited };
}

async function ask(fields: object, key = KEY): Promise<string> {
  const answer = await fetch(`${server.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, ...fields }),
  });
  return answer.text();
}
const file = () => join(server.home, "traffic/recording.jsonl");
const lines = () => (existsSync(file()) ? readFileSync(file(), "utf8").trim().split("\n") : []);

const SECRET = "Mail jane.doe@corp.example or +49 170 1234567, my key is sk-abcdefghij1234567890.";
const CALLS = [
  { seed: 1, messages: [{ role: "user", content: SECRET }], user: "jane.doe", metadata: { who: "jane" } },
  { seed: 2, messages: [{ role: "user", content: "Say hello." }], stream: true },
  { seed: 3, messages: TWO_CITIES, tools: [WEATHER] },
];

test("nothing is recorded until an account is named, and then only its calls", async () => {
  await ask(CALLS[0]!);
  writeFileSync(join(data.folder, "traffic.yaml"), stringify({ record: { accounts: [account] } }));
  server.process.kill("SIGHUP");
  await eventually(async () => {
    await ask({ seed: 9, messages: [{ role: "user", content: "Is it on?" }] });
    return lines().length > 0;
  }, "the account is recorded");
  for (const call of CALLS) {
    await ask(call);
    await ask({ ...call, messages: [{ role: "user", content: "of the other account" }] }, otherKey);
  }
  await ask({ messages: 7 }); // never began
  const bySeed = (seed: number) => lines().find((line) => line.includes(`"seed":${seed},`));
  await eventually(() => [1, 2, 3].every(bySeed), "three calls have been written");
  const recorded = readFileSync(file(), "utf8");
  expect(recorded).not.toContain("other account");
  expect(JSON.parse(bySeed(1)!)).toMatchObject({
    account,
    path: "/v1/chat/completions",
    model: MODEL,
    body: { seed: 1, messages: [{ role: "user", content: "Mail [email] or +[number], my key is [key]." }] },
    answer: { status: 200, code: "", finish: ["stop"], whole: true },
  });
});

test("what could name a person or open a door is not in the file, and nobody else may read it", () => {
  const recorded = readFileSync(file(), "utf8");
  for (const secret of ["jane", "corp.example", "1234567", "sk-abc", KEY, otherKey])
    expect(recorded).not.toContain(secret);
  expect(statSync(file()).mode & 0o077).toBe(0);
});

interface Replayed {
  reports: {
    calls: number;
    same: number;
    different: number;
    onlySecondFailed: number;
    codes: Record<string, number>;
  }[];
  calls: { b: { status: number } }[];
}
const replay = async (...args: string[]) => {
  const { out, err, code } = await oxbow("replay", ...args, "--json");
  return { err, code, ...(out === "" ? { reports: [], calls: [] } : (JSON.parse(out) as Replayed)) };
};

test("the same server gives the same answers again; another model gives others", async () => {
  const count = lines().length;
  const again = await replay("--url", server.baseUrl, "--limit", "2");
  expect(again.reports).toMatchObject([{ calls: 2, same: 2, different: 0 }]);
  const other = await replay(file(), "--url", server.baseUrl, "--model", "qwen-3-32b");
  expect(other.calls.length).toBeGreaterThanOrEqual(count);
  const [report] = other.reports;
  expect(report!.different).toBeGreaterThan(0);
  const none = await replay(file(), "--url", server.baseUrl, "--model", "nobody", "--limit", "1");
  expect(none.reports).toMatchObject([{ onlySecondFailed: 1, codes: { model_not_found: 1 } }]);
  const table = await oxbow("replay", file(), "--url", server.baseUrl, "--limit", "1");
  expect(table.out).toContain("DIFFERENT");
});

test("a server that is not there, and a file that is none, are said in one line", async () => {
  const nobody = await replay(file(), "--url", "http://127.0.0.1:9", "--limit", "1");
  expect([nobody.code, nobody.err]).toEqual([3, expect.stringContaining("No server answers")]);
  const bad = join(server.home, "bad.jsonl");
  writeFileSync(bad, '{"a":1}\n');
  const wrong = await replay(bad);
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining("line 1 is no recorded call")]);
});
