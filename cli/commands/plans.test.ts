// `oxbow plans`, and what a running server makes of a change to its plans, accounts and keys while it is being called.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { envOf, MAIN, oxbow, up } from "../fixtures.ts";

let folder: string;
let home: string;
let server: Awaited<ReturnType<typeof up>>;
let env: Record<string, string>;

setDefaultTimeout(60_000);

const file = () => join(folder, "data", "plans.yaml");
const text = readFileSync(resolve(import.meta.dir, "../../data/plans.yaml"), "utf8");
const run = (...args: string[]) => oxbow(home, args, env);
const make = async (...args: string[]) => (await run("keys", "create", ...args)).out.trim();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-plans-"));
  home = join(folder, "home");
  const data = join(folder, "data");
  cpSync(resolve(import.meta.dir, "../../data"), data, { recursive: true });
  mkdirSync(home);
  env = { OXBOW_DATA: data };
  server = await up(home, env);
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

function call(key: string, body: object = {}, signal: AbortSignal | null = null): Promise<Response> {
  return fetch(`${server.url}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "mistral-7b", messages: [{ role: "user", content: "Hello" }], ...body }),
    signal,
  });
}

test("plans list shows every version, as a table and as JSON", async () => {
  const { out, err } = await run("plans", "list");
  expect(err).toBe("");
  expect(out).toMatch(
    /^PLAN +SOLD +A MONTH .*\nfree@2025 +no +\$0\.00 +60 +5 +2048 +4096 +600 +4194304 +1000 +1 +free +7 d\n/,
  );
  const list = JSON.parse((await run("plans", "list", "--json")).out);
  expect(list).toHaveLength(8);
  expect(list[5]).toMatchObject({ id: "pro", version: 2026, sold: true, requestsPerDay: 1000 });
});

test("plans are reloaded under calls, good files and bad ones: not a call is dropped, and a bad file changes nothing", async () => {
  const key = await make("--name", "caller");
  const over = new AbortController();
  const statuses = new Map<number, number>();
  const caller = async () => {
    while (!over.signal.aborted) {
      const response = await call(key);
      await response.text();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
  };
  const callers = Promise.all([1, 2, 3, 4].map(caller));
  // One that is in the middle of its answer all the time.
  const long = call(key, { stream: true, x_simulate: { tokens: 60, itlMs: 50 } }).then((response) => response.text());

  const fields = text.slice(text.indexOf("      priceCents: 8000"), text.indexOf("    premium:"));
  const good = text.replace("versions:\n", `versions:\n  2027:\n    solo:\n      name: Solo\n${fields}`);
  for (let turn = 0; turn < 3; turn++) {
    writeFileSync(file(), text.replace("requestsPerDay: 1000", "requestsPerDay: lots"));
    expect(await run("plans", "reload")).toEqual({
      code: 1,
      out: "",
      err: `oxbow: The plans of before stay in force: ${file()}: versions.2026.pro.requestsPerDay must be an integer ≥ 1 or null, but is 'lots'\n`,
    });
    writeFileSync(file(), good);
    const { code, out } = await run("plans", "reload", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      pid: server.pid,
      plans: expect.arrayContaining(["solo@2027", "pro@2026"]),
    });
  }
  expect(await long).toEndWith("data: [DONE]\n\n");
  over.abort();
  await callers;
  expect([...statuses.keys()]).toEqual([200]);
  expect(statuses.get(200)).toBeGreaterThan(20);
  const lines = server
    .said()
    .split("\n")
    .filter((line) => line.includes("plans not reloaded"));
  expect(lines).toHaveLength(3);
  expect(lines[0]).toContain("what was in force stays: ");
});

test("an account gets no plan that the running server does not have yet, and no plan vanishes from under an account", async () => {
  writeFileSync(file(), text);
  expect((await run("plans", "reload")).code).toBe(0);
  const later = text.replace("  2026:\n    free:", "  2027:\n    free:");
  writeFileSync(file(), later.replace("sold: 2026", "sold: 2027").replace("admin: enterprise", "admin: pro"));
  const refused = await run("accounts", "create", "early", "--plan", "pro");
  expect(refused.code).toBe(1);
  expect(refused.err).toBe(
    "The running server does not have free@2027, pro@2027, premium@2027, enterprise@2027 yet: `oxbow plans reload` brings it what is in plans.yaml.\noxbow: There is no plan called 'pro'. There are free@2025, pro@2025, premium@2025, enterprise@2025.\n",
  );
  // The admin account has a plan of 2026, which this file has no more.
  expect((await run("plans", "reload")).err).toStartWith(
    "oxbow: The plans of before stay in force: The account 'admin' has the plan enterprise@2026, which is not in plans.yaml.",
  );
  writeFileSync(file(), text);
  expect((await run("plans", "reload")).code).toBe(0);
  expect((await run("accounts", "create", "early", "--plan", "pro")).err).toStartWith("Account early on pro@2026.");
});

/** Milliseconds from now until calls with the key get `status`. */
async function until(key: string, status: number): Promise<number> {
  const since = performance.now();
  while (performance.now() - since < 10_000) {
    const response = await fetch(`${server.url}/models`, { headers: { authorization: `Bearer ${key}` } });
    await response.text();
    if (response.status === status) break;
  }
  return performance.now() - since;
}

test("the running server refuses revoked, disabled, expired and rotated keys and disabled accounts within a second", async () => {
  await run("accounts", "create", "acme");
  const key = await make("--account", "acme");
  const id = key.slice(8, 16);
  expect(await until(key, 200)).toBeLessThan(1000);
  for (const [change, status] of [
    [["keys", "disable", id], 401],
    [["keys", "enable", id], 200],
    [["accounts", "disable", "acme"], 401],
    [["accounts", "enable", "acme"], 200],
    [["keys", "rotate", id, "--grace", "0"], 401],
  ] as const) {
    expect((await run(...change)).code).toBe(0);
    expect(await until(key, status)).toBeLessThan(1000);
  }
  const second = await make("--account", "acme");
  expect(await until(second, 200)).toBeLessThan(1000);
  expect((await run("keys", "revoke", second.slice(8, 16))).code).toBe(0);
  expect(await until(second, 401)).toBeLessThan(1000);
  const short = await make("--account", "acme", "--expires", "3s");
  expect(await until(short, 401)).toBeLessThan(4000);
});

test("a start on plans that lack an account's is refused, and names the account", async () => {
  const other = join(folder, "other");
  expect((await oxbow(other, ["accounts", "create", "acme", "--plan", "pro@2025"])).code).toBe(0);
  const without = join(folder, "without-2025");
  cpSync(join(folder, "data"), without, { recursive: true });
  writeFileSync(join(without, "plans.yaml"), text.slice(0, text.indexOf("\n  2025:")));
  const { code, err } = await oxbow(other, ["up", "--port", "0"], { OXBOW_DATA: without });
  expect(code).toBe(1);
  expect(err).toContain(
    "oxbow: The account 'acme' has the plan pro@2025, which is not in plans.yaml. Put it back there,",
  );
});

test("a reload without a server says so, also where one was killed and left its number behind", async () => {
  const gone = join(folder, "gone");
  expect(await oxbow(gone, ["plans", "reload"])).toEqual({
    code: 3,
    out: "",
    err: `oxbow: No server runs on the home ${gone}. It reads the plans when it starts.\n`,
  });
  mkdirSync(gone);
  writeFileSync(join(gone, "lock.db"), "");
  writeFileSync(join(gone, "server.pid"), `${process.pid}\n`);
  expect((await oxbow(gone, ["plans", "reload"])).code).toBe(3);
});

test("a server on a terminal reloads when it is asked to, and ends cleanly when the terminal is closed", async () => {
  const own = join(folder, "terminal");
  const standing = Promise.withResolvers<void>();
  const decoder = new TextDecoder();
  let said = "";
  const child = Bun.spawn([process.execPath, MAIN, "up", "--port", "0", "--simulate"], {
    env: envOf(own, env),
    terminal: {
      data: (_, bytes) => {
        said += decoder.decode(bytes, { stream: true });
        if (/(Ready|Up) at /.test(said)) standing.resolve();
      },
    },
  });
  await Promise.race([standing.promise, child.exited]);
  expect((await oxbow(own, ["plans", "reload"], env)).code).toBe(0);
  expect(child.exitCode).toBeNull();
  child.terminal!.close();
  expect(await child.exited).toBe(0);
  expect(existsSync(join(own, "server.pid"))).toBe(false);
});
