import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import { loadConfig } from "../config.ts";
import { openStore, type Store } from "../store/store.ts";
import { type Accounts, createAccounts } from "./accounts.ts";

const plan = { id: "gold", version: 3 };
const START = Date.UTC(2026, 0, 1);

let home: string;
let clock: number;
let store: Store;
let accounts: Accounts;
const opened: Store[] = [];

const now = () => clock;
const shipped = loadConfig({ env: {} });
const catalogue = () => shipped;

/** The same home once more, as another process has it. */
async function open(pepper?: string): Promise<Accounts> {
  const another = await openStore(home);
  opened.push(another);
  return createAccounts(another, { home, now, catalogue, pepper });
}

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "oxbow-accounts-"));
  clock = START;
  accounts = await open();
  store = opened[0]!;
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  rmSync(home, { recursive: true });
});

const withKey = (key: string) => new Headers({ authorization: `Bearer ${key}` });

/** The row and the words of the refusal. */
function refusalOf(headers: Headers, by = accounts): [string, string] {
  try {
    by.identify(headers);
  } catch (error) {
    if (error instanceof ApiError) return [error.row, error.message];
    throw error;
  }
  throw new Error("it was not refused");
}

async function firstKey(): Promise<string> {
  const key = await accounts.bootstrap({ plan });
  return key!;
}

// The first start

test("the first start makes an admin account and a key, and shows the key once", async () => {
  const key = await firstKey();
  expect(accounts.identify(withKey(key))).toEqual({
    accountId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
    accountName: "admin",
    keyId: key.slice(8, 16),
    plan,
    role: "admin",
    trialEndsAt: null,
    overrides: {},
    keyModels: null,
    keyRequestsPerDay: null,
  });
  expect(await accounts.bootstrap({ plan })).toBeNull();
  expect(await (await open()).bootstrap({ plan })).toBeNull();
  expect(await accounts.listKeys()).toHaveLength(1);
});

test("no key is made at the start when the command made one before, nor when all were revoked", async () => {
  await accounts.ensureAdmin(plan);
  const { id } = await accounts.createKey({ name: "by hand" });
  expect(await accounts.bootstrap({ plan })).toBeNull();
  await accounts.revokeKey(id);
  expect(await accounts.bootstrap({ plan })).toBeNull();
});

test("a key that the operator chose works, whatever its form, and is made only once", async () => {
  const made = (await firstKey()).replace("ox_live", "sk-other");
  for (const key of ["twenty-characters-ok", made, "p@ss~word{with}all|sorts", "ox_live".padStart(40, "-")]) {
    for (let start = 0; start < 2; start++) expect(await accounts.bootstrap({ plan, bootstrapKey: key })).toBeNull();
    expect(accounts.identify(withKey(key)).role).toBe("admin");
  }
  expect(await accounts.listKeys()).toHaveLength(5);
});

test("a key made here can be the operator's choice for another home", async () => {
  const key = await firstKey();
  const home2 = mkdtempSync(join(tmpdir(), "oxbow-accounts-"));
  const store2 = await openStore(home2);
  const other = await createAccounts(store2, { home: home2, now, catalogue });
  await other.bootstrap({ plan, bootstrapKey: key });
  expect(other.identify(withKey(key)).keyId).toBe(key.slice(8, 16));
  await store2.close();
  rmSync(home2, { recursive: true });
});

test("a chosen key that could never work stops the start, without being quoted", async () => {
  const misspelled = (await firstKey()).slice(0, -1);
  const start = (bootstrapKey: string) =>
    accounts.bootstrap({ plan, bootstrapKey }).then(String, (error) => error.message);
  expect(await start(misspelled)).toMatch(/^OXBOW_BOOTSTRAP_KEY begins like a key made here, but a character/);
  expect(await start(misspelled)).not.toContain(misspelled);
  const chosen = "chosen-and-then-revoked";
  await start(chosen);
  await accounts.revokeKey((await accounts.listKeys()).find(({ name }) => name === "bootstrap key")!.id);
  expect(await start(chosen)).toBe("OXBOW_BOOTSTRAP_KEY holds a key that was revoked. Choose another.");
});

// Who calls

test("the scheme may be in any case, with spaces around and between", async () => {
  const key = await firstKey();
  for (const value of [`bearer ${key}`, `BEARER   ${key}`, `  Bearer ${key}  `, `bEaReR\t${key}`]) {
    expect(accounts.identify(new Headers({ authorization: value })).accountName).toBe("admin");
  }
});

test("no key, another scheme, or a scheme alone: OpenAI's words for a missing key", async () => {
  const key = await firstKey();
  for (const value of [undefined, "", " ", "Bearer", "Bearer ", key, `Basic ${key}`, `Bearer${key}`]) {
    const headers = new Headers(value === undefined ? {} : { authorization: value });
    const [row, message] = refusalOf(headers);
    expect(row).toBe("missing_api_key");
    expect(message).toStartWith(
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    );
  }
});

test("a slip of the pen, an unknown key and a stranger's key are told apart, and never quoted", async () => {
  const key = await firstKey();
  const other = (await (await open()).createKey({ name: "x" })).key;
  const forged = `${key.slice(0, 17)}${other.slice(17)}`;
  expect(refusalOf(withKey(`${key.slice(0, -1)}-`))).toEqual([
    "invalid_api_key",
    `Incorrect API key provided: ${key.slice(0, 10)}…****. A character of it is wrong or missing: copy it again.`,
  ]);
  expect(refusalOf(withKey(forged))[1]).toContain("A character of it is wrong");
  const unknown = "sk-proj-abcdefghijklmnopqrstuvwxyz";
  // Twice: the second time from memory.
  for (let time = 0; time < 2; time++) {
    expect(refusalOf(withKey(unknown))).toEqual([
      "invalid_api_key",
      "Incorrect API key provided: sk-…****. You can find your API keys with `oxbow keys list`, and make one with `oxbow keys create`.",
    ]);
  }
});

test("no refusal repeats more of a key than its beginning", async () => {
  await firstKey();
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", minLength: 12, maxLength: 700 }), (text) => {
      const value = text.replace(/[^\x20-\x7e]/g, "x").trim();
      fc.pre(value.length >= 12);
      const [, message] = refusalOf(withKey(value));
      expect(message).not.toContain(value);
    }),
  );
});

test("a key of an id that exists, with another secret, is unknown", async () => {
  const key = await firstKey();
  // One that its own home would take: the checksum is right, the id is ours.
  const home2 = mkdtempSync(join(tmpdir(), "oxbow-accounts-"));
  const store2 = await openStore(home2);
  const stranger = await createAccounts(store2, { home: home2, now, catalogue });
  const theirs = (await stranger.bootstrap({ plan }))!;
  await store.db
    .$extendTables<{ api_keys: { id: string } }>()
    .updateTable("api_keys")
    .set({ id: theirs.slice(8, 16) })
    .execute();
  expect(refusalOf(withKey(theirs))[1]).toContain("You can find your API keys");
  await store2.close();
  rmSync(home2, { recursive: true });
  expect(key).not.toBe(theirs);
});

test("an expired key is refused from its last millisecond on, also when it was used just before", async () => {
  await accounts.ensureAdmin(plan);
  const { key } = await accounts.createKey({ name: "short", expiresAt: START + 100 });
  clock = START + 99;
  expect(accounts.identify(withKey(key)).accountName).toBe("admin");
  clock = START + 100;
  expect(refusalOf(withKey(key))).toEqual([
    "invalid_api_key",
    `Incorrect API key provided: ${key.slice(0, 10)}…****. It has expired.`,
  ]);
  expect((await accounts.listKeys())[0]!.state).toBe("expired");
});

test("a revoked key is refused at once where it was revoked, and for good", async () => {
  const key = await firstKey();
  accounts.identify(withKey(key));
  await accounts.revokeKey(key.slice(8, 16));
  clock += 10;
  await accounts.revokeKey(key.slice(8, 16));
  expect(refusalOf(withKey(key))[1]).toEndWith("It has been revoked.");
  expect((await accounts.listKeys())[0]).toMatchObject({ state: "revoked", revokedAt: START });
});

test("what another process does is seen with the first call a quarter of a second later", async () => {
  const key = await firstKey();
  accounts.identify(withKey(key));
  await (await open()).revokeKey(key.slice(8, 16));
  clock += 249;
  expect(accounts.identify(withKey(key)).accountName).toBe("admin");
  clock += 1;
  expect(refusalOf(withKey(key))[1]).toEndWith("It has been revoked.");
});

test("a clock that is set back does not keep a revoked key alive", async () => {
  const key = await firstKey();
  accounts.identify(withKey(key));
  await (await open()).revokeKey(key.slice(8, 16));
  clock -= 3_600_000;
  expect(refusalOf(withKey(key))[1]).toEndWith("It has been revoked.");
});

test("a key that was refused before it was made works once it is", async () => {
  await accounts.ensureAdmin(plan);
  const chosen = "soon-to-be-a-real-key";
  refusalOf(withKey(chosen));
  await (await open()).bootstrap({ plan, bootstrapKey: chosen });
  clock += 250;
  expect(accounts.identify(withKey(chosen)).role).toBe("admin");
});

test("all keys of a disabled account are refused, until it is enabled", async () => {
  const key = await firstKey();
  accounts.identify(withKey(key));
  await (await open()).disableAccount("admin");
  clock += 250;
  expect(refusalOf(withKey(key))[1]).toEndWith("Its account is disabled.");
  await accounts.enableAccount("admin");
  expect(accounts.identify(withKey(key)).accountName).toBe("admin");
});

test("a known key needs no database", async () => {
  const key = await firstKey();
  accounts.identify(withKey(key));
  await store.close();
  opened.shift();
  clock += 249;
  for (let call = 0; call < 1000; call++) expect(accounts.identify(withKey(key)).accountName).toBe("admin");
});

// Keys as their owner handles them

test("keys are listed oldest first, with when they were last used", async () => {
  const key = await firstKey();
  clock += 1000;
  await accounts.createKey({ name: "second", account: "admin", expiresAt: clock + 1 });
  accounts.identify(withKey(key));
  clock += 5;
  accounts.identify(withKey(key));
  await accounts.close();
  const [first, second] = await accounts.listKeys();
  expect(first).toEqual({
    id: key.slice(8, 16),
    name: "first key",
    accountId: first!.accountId,
    accountName: "admin",
    state: "active",
    createdAt: START,
    expiresAt: null,
    revokedAt: null,
    disabledAt: null,
    lastUsedAt: START + 1005,
    models: null,
    requestsPerDay: null,
    rotatedTo: null,
    graceEndsAt: null,
  });
  expect(second).toMatchObject({ name: "second", lastUsedAt: null, expiresAt: START + 1001 });
});

test("last uses are written down by themselves", async () => {
  const another = await openStore(home);
  opened.push(another);
  const quick = await createAccounts(another, { home, now, catalogue, lastUsedMs: 1 });
  quick.identify(withKey(await firstKey()));
  const lastUsed = async () => (await accounts.listKeys())[0]!.lastUsedAt;
  for (let turn = 0; turn < 1000 && (await lastUsed()) === null; turn++) await Bun.sleep(1);
  expect(await lastUsed()).toBe(START);
});

test("names, accounts and expiries that cannot be are refused", async () => {
  await expect(accounts.createKey({ name: "x" })).rejects.toThrow("There is no account yet.");
  await accounts.ensureAdmin(plan);
  for (const name of ["", "  ", "a\nb", "a\u001b[2Jb", "a\u202eb", "a\u2028b", "x".repeat(65)]) {
    await expect(accounts.createKey({ name })).rejects.toThrow("A key's name must have 1 to 64 characters");
  }
  await expect(accounts.createKey({ name: "x", account: "nobody" })).rejects.toThrow("There is no account with this");
  for (const expiresAt of [START, START - 1, Number.NaN]) {
    await expect(accounts.createKey({ name: "x", expiresAt })).rejects.toThrow("A key must expire in the future.");
  }
  await expect(accounts.revokeKey("nothere0")).rejects.toThrow("There is no key with this id.");
  expect((await accounts.createKey({ name: "  clé 鍵 🔑 " })).name).toBe("clé 鍵 🔑");
});

// What is at rest

test("neither key nor secret is anywhere in the home", async () => {
  const chosen = "chosen-by-the-operator";
  await accounts.bootstrap({ plan, bootstrapKey: chosen });
  const { key } = await accounts.createKey({ name: "x" });
  accounts.identify(withKey(key));
  accounts.identify(withKey(chosen));
  await accounts.close();
  for (const file of readdirSync(home)) {
    const bytes = readFileSync(join(home, file), "latin1");
    for (const secret of [chosen, key, key.slice(17)]) expect(bytes).not.toContain(secret);
  }
});

test("the pepper is a file for its owner alone, and stays", async () => {
  const file = join(home, "pepper");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const before = readFileSync(file, "utf8");
  await open();
  expect(readFileSync(file, "utf8")).toBe(before);
});

test("another pepper is noticed at the start, not by every caller", async () => {
  const words = "The keys in this home were made under another pepper";
  await expect(open("a-pepper-from-the-environment")).rejects.toThrow(words);
  rmSync(join(home, "pepper"));
  await expect(open()).rejects.toThrow(words);
  writeFileSync(join(home, "pepper"), "garbage");
  await expect(open()).rejects.toThrow("does not hold 64 hex digits. Restore it from a backup.");
});

test("with a pepper of the operator's, none is kept in the home", async () => {
  const home2 = mkdtempSync(join(tmpdir(), "oxbow-accounts-"));
  const store2 = await openStore(home2);
  const other = await createAccounts(store2, { home: home2, now, catalogue, pepper: "a-pepper-from-the-environment" });
  const key = (await other.bootstrap({ plan }))!;
  expect(other.identify(withKey(key)).role).toBe("admin");
  expect(readdirSync(home2)).not.toContain("pepper");
  await store2.close();
  rmSync(home2, { recursive: true });
});
