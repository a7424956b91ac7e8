// Keys that are narrowed, rotated and disabled, on a real database.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Accounts, Caller } from "./accounts.ts";
import { call, createTestHome, START } from "./fixtures.ts";

const HOUR = 3_600_000;
let at: Awaited<ReturnType<typeof createTestHome>>;
let accounts: Accounts;

beforeEach(async () => {
  at = await createTestHome();
  accounts = at.accounts;
  await accounts.createAccount({ name: "acme", plan: "pro" });
});
afterEach(() => at.close());

test("a narrowed key says so to whoever decides, and the list shows it", async () => {
  const models = ["qwen3-32b", "llama-3.1-8b", "qwen-3-32b"];
  const { id, key } = await accounts.createKey({ name: "x", account: "acme", models, requestsPerDay: 1000 });
  const keyModels = ["qwen-3-32b", "llama-3.1-8b"];
  expect(call(accounts, key)).toMatchObject({ keyModels, keyRequestsPerDay: 1000, accountName: "acme" });
  expect(Object.isFrozen((call(accounts, key) as Caller).keyModels)).toBe(true);
  expect(await accounts.listKeys()).toMatchObject([{ id, models: keyModels, requestsPerDay: 1000 }]);
});

test("a key is not made wider than its account, and none is made by the attempt", async () => {
  await accounts.createAccount({ name: "small", plan: "free" });
  const key = { name: "x", account: "small" };
  await expect(accounts.createKey({ ...key, models: ["llama-3.1-8b"] })).rejects.toThrow(
    "The account does not have the model llama-3.1-8b (pro): its plan free@2026 has free.",
  );
  await expect(accounts.createKey({ ...key, models: ["gpt-9"] })).rejects.toThrow(
    /^There is no model called 'gpt-9'\. There are tiny, .*whisper-turbo.*\.$/,
  );
  await expect(accounts.createKey({ ...key, models: [] })).rejects.toThrow("at least one model");
  await expect(accounts.createKey({ ...key, requestsPerDay: 61 })).rejects.toThrow("the account has 60 (free@2026)");
  await expect(accounts.createKey({ ...key, requestsPerDay: 0 })).rejects.toThrow("a whole number from 1 on");
  expect(await accounts.listKeys()).toEqual([]);
  await accounts.override("small", { requestsPerDay: 61 });
  expect((await accounts.createKey({ ...key, requestsPerDay: 61 })).key).toStartWith("ox_live_");
});

test("a rotated key works to the last millisecond of its grace, and its successor has the same rights", async () => {
  const expiresAt = START + 100 * HOUR;
  const rights = { name: "app", account: "acme", expiresAt, models: ["tiny"], requestsPerDay: 5 };
  const old = await accounts.createKey(rights);
  call(accounts, old.key);
  at.world.now = START + 1;
  const made = await accounts.rotateKey(old.id, HOUR);
  expect(made).toMatchObject({ name: "app", accountName: "acme", graceEndsAt: START + 1 + HOUR });
  const before = call(accounts, old.key) as Caller;
  expect(before.keyId).toBe(old.id);
  expect(call(accounts, made.key)).toEqual({ ...before, keyId: made.id });
  expect(await accounts.listKeys()).toMatchObject([
    { id: old.id, state: "grace", rotatedTo: made.id, graceEndsAt: START + 1 + HOUR },
    { id: made.id, state: "active", expiresAt, rotatedTo: null },
  ]);

  at.world.now = START + HOUR;
  expect(call(accounts, old.key)).toMatchObject({ keyId: old.id });
  at.world.now = START + HOUR + 1;
  // From memory, looked up anew, and in another process.
  expect(call(accounts, old.key)).toBe("Another key has taken its place.");
  expect(call(await at.open(), old.key)).toBe("Another key has taken its place.");
  expect(call(accounts, made.key)).toMatchObject({ keyId: made.id });
  expect((await accounts.listKeys())[0]!.state).toBe("rotated");
  at.world.now = expiresAt;
  expect(call(accounts, made.key)).toBe("It has expired.");
});

test("without grace the old key stops at once; with one, its own expiry still comes first", async () => {
  const one = await accounts.createKey({ name: "x", account: "acme" });
  await accounts.rotateKey(one.id, 0);
  expect(call(accounts, one.key)).toBe("Another key has taken its place.");
  const two = await accounts.createKey({ name: "x", account: "acme", expiresAt: START + 10 });
  await accounts.rotateKey(two.id, HOUR);
  at.world.now += 10;
  expect(call(accounts, two.key)).toBe("It has expired.");
});

test("only a key that works can be rotated, and only once", async () => {
  const make = () => accounts.createKey({ name: "x", account: "acme", expiresAt: START + 10 });
  const [rotated, revoked, disabled, expired] = [await make(), await make(), await make(), await make()];
  const next = await accounts.rotateKey(rotated.id, HOUR);
  await accounts.revokeKey(revoked.id);
  await accounts.disableKey(disabled.id);
  await expect(accounts.rotateKey(rotated.id, HOUR)).rejects.toThrow(`rotated already: ${next.id} replaces it`);
  await expect(accounts.rotateKey(revoked.id, HOUR)).rejects.toThrow("The key is revoked");
  await expect(accounts.rotateKey(disabled.id, HOUR)).rejects.toThrow("The key is disabled");
  for (const grace of [-1, Number.NaN, 30 * 24 * HOUR + 1]) {
    await expect(accounts.rotateKey(expired.id, grace)).rejects.toThrow("The grace must be 0 to 30 days.");
  }
  at.world.now += 10;
  await expect(accounts.rotateKey(expired.id, HOUR)).rejects.toThrow("The key is expired");
  await expect(accounts.rotateKey("nothere0", HOUR)).rejects.toThrow("There is no key with this id.");
  expect(await accounts.listKeys()).toHaveLength(5);
});

test("a compromised key can be revoked in the middle of its grace", async () => {
  const old = await accounts.createKey({ name: "x", account: "acme" });
  await accounts.rotateKey(old.id, HOUR);
  await accounts.revokeKey(old.id);
  expect(call(accounts, old.key)).toBe("It has been revoked.");
});

test("rotations of one key at the same time make one successor", async () => {
  const { id } = await accounts.createKey({ name: "x", account: "acme" });
  const done = await Promise.allSettled([1, 2, 3].map(() => accounts.rotateKey(id, HOUR)));
  expect(done.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
  expect(await accounts.listKeys()).toHaveLength(2);
});

test("a disabled key is refused until it is enabled, also by other processes within a quarter of a second", async () => {
  const { id, key } = await accounts.createKey({ name: "x", account: "acme" });
  const other = await at.open();
  call(accounts, key);
  await other.disableKey(id);
  expect(call(other, key)).toBe("It is disabled.");
  at.world.now += 250;
  expect(call(accounts, key)).toBe("It is disabled.");
  await other.enableKey(id);
  at.world.now += 250;
  expect(call(accounts, key)).toMatchObject({ keyId: id });
  await accounts.revokeKey(id);
  await accounts.enableKey(id);
  expect(call(accounts, key)).toBe("It has been revoked.");
});
