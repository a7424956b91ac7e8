// `oxbow up` as it is called: the server itself, with the simulator, on a home and a port of its own.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "main.ts");
let folder: string;
let home: string;
const env: Record<string, string> = { PATH: process.env.PATH ?? "", BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" };

function start(args: string[], more: Record<string, string> = {}) {
  const command = [process.execPath, MAIN, ...args];
  return Bun.spawn(command, { env: { ...env, ...more }, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

async function run(args: string[], more: Record<string, string> = {}) {
  const child = start(args, more);
  const [code, out, err] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, err };
}

/** Starts a server and resolves once it has said how it stands: whether every model is warm is not what is tested here. */
async function up(args: string[] = []) {
  const child = start(["up", "--port", "0", "--simulate", ...args]);
  let err = "";
  for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
    err += chunk;
    if (/^(Ready|Up) at /m.test(err)) break;
  }
  const url = /base URL +(\S+)/.exec(err)?.[1] ?? "";
  const stop = async () => {
    child.kill("SIGTERM");
    const out = await child.stdout.text();
    return { code: await child.exited, out };
  };
  return { child, url, err, stop };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-up-"));
  home = join(folder, "home");
  env.OXBOW_HOME = home;
});

afterAll(() => rmSync(folder, { recursive: true }));

test("the first start prints its key once; the command and a second server see that it runs", async () => {
  const made = (await run(["keys", "create", "--home", join(folder, "other")])).out.trim();
  const server = await up();
  try {
    const key = (await run(["keys", "create"])).out.trim();
    const models = await run(["models", "--json"], { OXBOW_API_KEY: key, OXBOW_BASE_URL: server.url });
    expect(models.code).toBe(0);
    const list: { id: string; state: string; simulated?: boolean }[] = JSON.parse(models.out);
    expect(list.some(({ state, simulated }) => state === "warm" && simulated === true)).toBe(true);
    const table = await run(["models", "--url", server.url.slice(0, -3), "--key", key]);
    expect(table.out).toMatch(/^ID +CATEGORY +TIER +CONTEXT +STATE\n/);
    expect(table.out.trimEnd().split("\n")).toHaveLength(list.length + 1);

    const refused = await run(["models"], { OXBOW_API_KEY: made, OXBOW_BASE_URL: server.url });
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toStartWith(
      `oxbow: The server refused (401): Incorrect API key provided: ${made.slice(0, 10)}…****.`,
    );

    const second = await run(["up", "--port", "0"]);
    expect(second).toEqual({
      code: 1,
      out: "",
      err: `oxbow: Another server (pid ${server.child.pid}) is running on the home ${home}. Stop it first, or give this one a home of its own with OXBOW_HOME or --home.\n`,
    });
    const taken = await run(["up", "--port", new URL(server.url).port, "--home", join(folder, "another")]);
    expect(taken.code).toBe(1);
    expect(taken.err).toMatch(/oxbow: Port \d+ on 127\.0\.0\.1 is taken by another program\./);
  } finally {
    const { code, out } = await server.stop();
    expect(code).toBe(0);
    expect(out).toMatch(/^ox_live_\w{8}_\w{49}\n$/);
  }
}, 60_000);

test("a start outside of the launcher is refused before anything is made", async () => {
  const untouched = join(folder, "untouched");
  const { code, err } = await run(["up", "--home", untouched], { BUN_CONFIG_MAX_HTTP_REQUESTS: "" });
  expect(code).toBe(1);
  expect(err).toStartWith("oxbow: BUN_CONFIG_MAX_HTTP_REQUESTS is not set");
  expect(await Bun.file(join(untouched, "core.db")).exists()).toBe(false);
});
