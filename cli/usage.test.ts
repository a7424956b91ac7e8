// `oxbow usage` as it is called, on a home whose ledger is open in another process: this one.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@oxbow/contract";
import { type Ledger, openLedger } from "../server/ledger/ledger.ts";

const MAIN = join(import.meta.dir, "main.ts");
const DONE = { outcome: "complete", tokensIn: 10, tokensOut: 5, waitedMs: 1, firstTokenMs: 2, durationMs: 3 } as const;
let home: string;
let ledger: Ledger;
let account: string;
let key: string;

setDefaultTimeout(60_000);

async function oxbow(...args: string[]) {
  const { PATH = "", HOME = "" } = process.env;
  const env = { PATH, HOME, OXBOW_HOME: home, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" };
  const child = Bun.spawn([process.execPath, MAIN, ...args], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [code, out, err] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, err };
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "oxbow-usage-"));
  expect((await oxbow("usage")).out).toMatch(/^ACCOUNT .*\ntotal +0 +0 +0 +0\n$/);
  expect((await oxbow("usage", "rebuild")).err).toContain("no ledger in this home yet");
  await oxbow("keys", "create", "--name", "=my, app");
  const [row] = JSON.parse((await oxbow("keys", "list", "--json")).out);
  account = row.accountId;
  key = row.id;
  ledger = await openLedger({ home, now: () => Date.parse("2026-10-10T06:00:00Z") });
  for (const [model, day] of [
    ["a", "2026-10-09"],
    ["b", "2026-10-10"],
    ["b", "2026-10-10"],
  ] as const) {
    const requestId = newId("req_");
    const names = { accountId: account, keyId: key, plan: "free@2026", model, endpoint: "/v1/completions" };
    ledger.reserve({ requestId, ...names, day, units: 1, at: 0 });
    await ledger.settle(requestId, DONE);
  }
});
afterAll(async () => {
  await ledger.close();
  rmSync(home, { recursive: true });
});

test("a day by account, a month by day, all by model, while a server has the ledger open", async () => {
  const day = await oxbow("usage", "--day", "2026-10-10");
  expect(day.out).toMatch(/^ACCOUNT .*\nadmin +2 +2 +20 +10\ntotal +2 +2 +20 +10\n$/);
  expect(day.err).toBe("UTC day 2026-10-10\n");
  const month = JSON.parse((await oxbow("usage", "--month", "2026-10", "--by", "day", "--json")).out);
  expect(month).toMatchObject({ from: "2026-10-01", to: "2026-10-31", total: { requests: 3, units: 3 } });
  expect(month.data).toEqual([
    { day: "2026-10-09", requests: 1, units: 1, tokensIn: 10, tokensOut: 5 },
    { day: "2026-10-10", requests: 2, units: 2, tokensIn: 20, tokensOut: 10 },
  ]);
  const models = await oxbow("usage", "--month", "2026-10", "--by", "model", "--account", "admin", "--csv");
  expect(models.out).toBe("model,requests,units,tokens_in,tokens_out\r\nb,2,2,20,10\r\na,1,1,10,5\n");
  const keys = await oxbow("usage", "--month", "2026-10", "--by", "key", "--csv", "--forecast");
  expect(keys.out.split("\r\n")[1]).toBe(`"${key} (=my, app)",3,3,30,15,3\n`);
  expect((await oxbow("usage", "--today", "--json")).out).toContain('"data": []');
});

test("of one account it also says what holds for it", async () => {
  const whole = await oxbow("usage", "--day", "2026-10-10", "--account", "admin");
  expect(whole.err).toBe("UTC day 2026-10-10\nadmin has by enterprise@2026: no limits\n");
  await oxbow("accounts", "set-plan", "admin", "free");
  await oxbow("accounts", "override", "admin", "audioSecondsMax=90", "imagePixelsMax=none");
  const { err } = await oxbow("usage", "--day", "2026-10-10", "--account", "admin");
  expect(err).toContain("\nadmin has by free@2026: requestsPerDay 60, requestsPerMinute 5, ");
  expect(err).toContain(", audioSecondsMax 90, speechCharactersMax 1000, ");
  const { limits } = JSON.parse((await oxbow("usage", "--account", "admin", "--json")).out);
  expect(limits).toMatchObject({ audioSecondsMax: 90, imagePixelsMax: null, speechCharactersMax: 1000 });
});

test("a wrong period, grouping or account is named", async () => {
  for (const args of [
    ["--day", "2026-02-30"],
    ["--month", "2026-13"],
    ["--by", "plan"],
    ["--today", "--day", "2026-10-10"],
  ]) {
    expect({ args, ...(await oxbow("usage", ...args)) }).toMatchObject({ args, code: 2, out: "" });
  }
  expect(await oxbow("usage", "--account", "nobody")).toMatchObject({ code: 1, out: "" });
});

test("rebuild says where the sums differ, and repairs them", async () => {
  expect((await oxbow("usage", "rebuild")).err).toBe("The sums agree with the events.\n");
  const db = new Database(join(home, "ledger.db"));
  db.run("UPDATE usage_day SET units = 9 WHERE units = 2");
  db.close();
  const { code, out, err } = await oxbow("usage", "rebuild");
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining("1 differed and are repaired") });
  expect(out).toMatch(new RegExp(`^DAY .*\n2026-10-10 +account ${account}, key ${key}, model b +9 +2\n$`));
  expect(JSON.parse((await oxbow("usage", "rebuild", "--json")).out)).toEqual([]);
});
