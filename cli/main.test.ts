// The command as it is called: every test starts the real one, in a home of its own.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import project from "../package.json" with { type: "json" };
import { createAccounts } from "../server/accounts/accounts.ts";
import { loadConfig } from "../server/config.ts";
import { openStore } from "../server/store/store.ts";
import { oxbow } from "./fixtures.ts";

let folder: string;

// Several processes a test, on a machine that may be busy.
setDefaultTimeout(60_000);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-cli-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

const newHome = () => join(mkdtempSync(join(folder, "home-")), "home");

const KEY = /^ox_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}\n$/;

test("keys create prints the key and nothing else on standard output, on a home that is new", async () => {
  const home = newHome();
  const { code, out, err } = await oxbow(home, ["keys", "create", "--name", "my app"]);
  expect(out).toMatch(KEY);
  expect(code).toBe(0);
  expect(err).toBe(`Key ${out.slice(8, 16)} (my app) of the account admin. It is shown this once: keep it.\n`);
  const other = newHome();
  expect((await oxbow(other, ["keys", "create", "--home", home, "--json"])).out).toStartWith("{");
  const list = JSON.parse((await oxbow(home, ["keys", "list", "--json"])).out);
  expect(list).toHaveLength(2);
  expect(list[0]).toMatchObject({ name: "my app", account: "admin", state: "active", revokedAt: null });
  expect(new Date(list[0].createdAt).toISOString()).toBe(list[0].createdAt);
  expect(JSON.stringify(list)).not.toContain(out.trim());
});

test("four commands on a new home at the same time make one account and four keys", async () => {
  const home = newHome();
  const made = await Promise.all([1, 2, 3, 4].map((name) => oxbow(home, ["keys", "create", "--name", String(name)])));
  for (const { code, out, err } of made)
    expect({ code, out: KEY.test(out), err }).toMatchObject({ code: 0, out: true });
  const list = JSON.parse((await oxbow(home, ["keys", "list", "--json"])).out);
  expect(list.map((key: { name: string }) => key.name).sort()).toEqual(["1", "2", "3", "4"]);
  expect(new Set(list.map((key: { accountId: string }) => key.accountId)).size).toBe(1);
});

test("a key revoked by the command is refused within a second by a process that has just used it", async () => {
  const home = newHome();
  const key = (await oxbow(home, ["keys", "create"])).out.trim();
  const store = await openStore(home);
  const accounts = await createAccounts(store, { home, now: Date.now, catalogue: () => loadConfig({ env: {} }) });
  const headers = new Headers({ authorization: `Bearer ${key}` });
  expect(accounts.identify(headers).accountName).toBe("admin");
  const { code, err, out } = await oxbow(home, ["keys", "revoke", key.slice(8, 16)]);
  expect({ code, out }).toEqual({ code: 0, out: "" });
  expect(err).toContain("is revoked. A running server refuses it within a second.");
  const revoked = performance.now();
  const refused = () => {
    try {
      accounts.identify(headers);
      return false;
    } catch {
      return true;
    }
  };
  while (!refused() && performance.now() - revoked < 5000) await Bun.sleep(1);
  expect(performance.now() - revoked).toBeLessThan(1000);
  await accounts.close();
  await store.close();
  expect((await oxbow(home, ["keys", "list"])).out).toMatch(
    /^ID +NAME +ACCOUNT +STATE .*\n\w{8} +unnamed +admin +revoked .*\n$/,
  );
});

test("a key can be revoked while data/ is broken, but none made", async () => {
  const home = newHome();
  const key = (await oxbow(home, ["keys", "create"])).out;
  const broken = { OXBOW_DATA: folder };
  expect((await oxbow(home, ["keys", "create"], broken)).err).toContain("there is no such file");
  expect((await oxbow(home, ["keys", "revoke", key.slice(8, 16), "--json"], broken)).out).toContain('"revoked"');
});

test("failures are one line on standard error and code 1, without what was typed when it may be a key", async () => {
  const home = newHome();
  const key = (await oxbow(home, ["keys", "create"])).out.trim();
  const unknown = await oxbow(home, ["keys", "revoke", key]);
  expect(unknown).toEqual({
    code: 1,
    out: "",
    err: "oxbow: There is no key with this id. `oxbow keys list` shows the ids.\n",
  });
  const named = await oxbow(home, ["keys", "create", "--name", "a\u001b[31mb"]);
  expect(named).toEqual({
    code: 1,
    out: "",
    err: "oxbow: A key's name must have 1 to 64 characters, and no control characters.\n",
  });
  const file = join(folder, "file");
  writeFileSync(file, "");
  const blocked = await oxbow(file, ["keys", "list"]);
  expect(blocked.err).toBe(
    `oxbow: The home ${file} is not a folder (EEXIST). Choose another folder with OXBOW_HOME or --home.\n`,
  );
  expect(blocked.code).toBe(1);
});

test("a wrong command line is code 2, help that was asked for is 0", async () => {
  const home = newHome();
  for (const args of [
    [],
    ["keys"],
    ["nope"],
    ["keys", "revoke"],
    ["up", "--port", "65536"],
    ["keys", "list", "--no"],
  ]) {
    const { code, out, err } = await oxbow(home, args);
    expect({ args, code, out }).toEqual({ args, code: 2, out: "" });
    expect(err).not.toBe("");
  }
  for (const args of [["help"], ["--help"], ["keys", "create", "--help"]]) {
    const { code, out, err } = await oxbow(home, args);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toStartWith("Usage: oxbow");
  }
  expect(await oxbow(home, ["--version"])).toEqual({ code: 0, out: `${project.version}\n`, err: "" });
});

test("models without a key, a server, or a server of ours say which of them it is", async () => {
  const home = newHome();
  const closed = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
  const url = `http://127.0.0.1:${closed.port}`;
  const key = { OXBOW_API_KEY: "any", OXBOW_BASE_URL: `${url}/` };
  expect((await oxbow(home, ["models"])).err).toStartWith("oxbow: Set OXBOW_API_KEY, or give --key.");
  expect(await oxbow(home, ["models"], key)).toMatchObject({
    code: 1,
    err: `oxbow: What answers at ${url}/v1 is no Oxbow server (200).\n`,
  });
  await closed.stop(true);
  const gone = await oxbow(home, ["models"], key);
  expect(gone.code).toBe(3);
  expect(gone.err).toStartWith(`oxbow: No server answers at ${url}/v1.`);
  expect((await oxbow(home, ["models", "--url", "nonsense", "--key", "any"])).code).toBe(2);
});
