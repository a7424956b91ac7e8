// `oxbow accounts` and what of `oxbow keys` depends on an account: every test starts the real command.

import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { oxbow } from "../fixtures.ts";

let folder: string;
let home: string;

// Several processes a test, on a machine that may be busy.
setDefaultTimeout(60_000);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-cli-"));
});
beforeEach(() => {
  home = join(mkdtempSync(join(folder, "home-")), "home");
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) => oxbow(home, args);
const json = async (...args: string[]) => JSON.parse((await run(...args, "--json")).out);

test("an account from its making to its key", async () => {
  const made = await run("accounts", "create", "acme", "--email", "ann@example.com", "--verified", "--trial");
  expect(made.out).toMatch(/^[0-9a-f-]{36}\n$/);
  expect(made.err).toMatch(/^Account acme on free@2026, with all models until \d{4}-\d\d-\d\d \d\d:\d\d UTC\. /);
  const days = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 86_400_000;
  const shown = await json("accounts", "show", "acme");
  expect(shown).toMatchObject({ id: made.out.trim(), state: "active", limits: { requestsPerDay: 60 }, keys: [] });
  expect(days(shown.createdAt, shown.trialEndsAt)).toBeCloseTo(7, 4);

  expect(await json("accounts", "set-plan", "acme", "pro@2025")).toEqual({ account: "acme", plan: "pro@2025" });
  expect(await json("accounts", "override", "acme", "requestsPerDay=2000", "requestsPerMinute=none")).toEqual({
    account: "acme",
    overrides: { requestsPerDay: 2000, requestsPerMinute: null },
  });
  expect((await run("accounts", "override", "acme", "requestsPerDay=plan")).err).toContain("requestsPerMinute=none.");

  const narrow = ["--models", "llama-3.1-8b, qwen3-32b", "--requests-per-day", "300", "--expires", "30d"];
  const key = await run("keys", "create", "--account", "acme", ...narrow);
  expect(key.out).toMatch(/^ox_live_\w{8}_\w{49}\n$/);
  const [row] = await json("keys", "list");
  expect(row).toMatchObject({ account: "acme", models: ["llama-3.1-8b", "qwen-3-32b"], requestsPerDay: 300 });
  expect(days(row.createdAt, row.expiresAt)).toBeCloseTo(30, 4);

  const table = await run("accounts", "show", made.out.trim());
  expect(table.out).toMatch(/^plan +pro@2025$/m);
  expect(table.out).toMatch(/^requestsPerDay +300\nrequestsPerMinute +none \(by contract\)$/m);
  expect(table.out).toMatch(new RegExp(`^${row.id} +unnamed +acme +active +llama-3.1-8b, qwen-3-32b, 300 a day `, "m"));
  expect((await run("accounts", "list")).out).toMatch(/^NAME +PLAN .*\nacme +pro@2025 +active +ann@example.com /);
});

test("a key is rotated, disabled and enabled; each says what is so now", async () => {
  const id = (await run("keys", "create", "--name", "app")).out.slice(8, 16);
  const rotated = await json("keys", "rotate", id, "--grace", "10m");
  expect(rotated).toMatchObject({ name: "app", account: "admin", replaces: id });
  expect(rotated.key).toStartWith(`ox_live_${rotated.id}_`);
  expect(Date.parse(rotated.graceEndsAt) - Date.now()).toBeWithin(500_000, 600_001);
  const again = await run("keys", "rotate", id);
  expect(again).toEqual({ code: 1, out: "", err: `oxbow: The key is rotated already: ${rotated.id} replaces it.\n` });
  expect((await run("keys", "disable", rotated.id)).err).toContain("is disabled. A running server refuses it within");
  expect(await json("keys", "list")).toMatchObject([
    { id, state: "grace", rotatedTo: rotated.id },
    { id: rotated.id, state: "disabled" },
  ]);
  expect(await json("keys", "enable", rotated.id)).toEqual({ id: rotated.id, state: "enabled" });
  expect((await run("accounts", "disable", "admin")).err).toContain("admin is disabled.");
  expect((await json("accounts", "list"))[0].state).toBe("disabled");
  expect((await run("accounts", "enable", "admin")).code).toBe(0);
});

test("four processes that ask for the trial of one mailbox at the same time get one", async () => {
  await run("keys", "create");
  const ask = (name: string) => run("accounts", "create", name, "--email", "ann@example.com", "--verified", "--trial");
  const done = await Promise.all(["a", "b", "c", "d"].map(ask));
  expect(done.map(({ code }) => code).sort()).toEqual([0, 1, 1, 1]);
  expect(await json("accounts", "list")).toHaveLength(2);
});

test("a trial for an account that is there already, once its address is verified", async () => {
  await run("accounts", "create", "acme");
  expect((await run("accounts", "trial", "acme")).err).toContain("A trial needs an e-mail address that is verified");
  expect((await run("accounts", "verify", "acme")).err).toContain("There is no e-mail address to verify.");
  expect((await run("accounts", "verify", "acme", "--email", "ann@example.com")).code).toBe(0);
  expect((await json("accounts", "trial", "acme")).trialEndsAt).toMatch(/^\d{4}-/);
  expect((await run("accounts", "trial", "acme")).err).toBe(
    "oxbow: The account has had its trial. There is one for each, ever.\n",
  );
});

test("unknown names are one line that says what exists", async () => {
  await run("accounts", "create", "acme");
  const plans = "There are free@2025, pro@2025, premium@2025, enterprise@2025, free@2026, pro@2026, ";
  for (const [args, words] of [
    [["accounts", "create", "b", "--plan", "prp"], `There is no plan called 'prp'. ${plans}`],
    [["accounts", "set-plan", "acme", "pro@2024"], `There is no plan called 'pro@2024'. ${plans}`],
    [["accounts", "override", "acme", "requests=1"], "There is no limit called 'requests'. There are requestsPerDay, "],
    [
      ["keys", "create", "--account", "acme", "--models", "gpt-9"],
      "There is no model called 'gpt-9'. There are tiny, ",
    ],
    [["keys", "create", "--account", "acme", "--models", "qwen-14b"], "does not have the model qwen-14b (pro)"],
    [["keys", "create", "--account", "acme", "--requests-per-day", "61"], "the account has 60 (free@2026)"],
    [["keys", "create", "--account", "nobody"], "There is no account with this name or id. `oxbow accounts list`"],
    [["accounts", "show", "nobody"], "There is no account with this name or id."],
  ] as const) {
    const { code, out, err } = await run(...args);
    expect({ args, code, out, lines: err.split("\n").length }).toEqual({ args, code: 1, out: "", lines: 2 });
    expect(err).toContain(words);
  }
});

test("values that cannot be are a wrong command line", async () => {
  for (const args of [
    ["accounts", "create"],
    ["accounts", "override", "acme", "requestsPerDay=many"],
    ["accounts", "override", "acme"],
    ["keys", "create", "--expires", "soon"],
    ["keys", "create", "--expires", "2027-02-31"],
    ["keys", "create", "--requests-per-day", "0"],
    ["keys", "create", "--models", "a,,b"],
    ["keys", "rotate", "x", "--grace", "1 hour"],
  ]) {
    const { code, out } = await run(...args);
    expect({ args, code, out }).toEqual({ args, code: 2, out: "" });
  }
  expect((await run("keys", "create", "--expires", "2020-01-31")).err).toBe(
    "oxbow: A key must expire in the future.\n",
  );
});
