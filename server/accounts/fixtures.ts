// A home for tests: real files, a clock that stands, and as many processes' views of it as a test needs.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError } from "@oxbow/contract";
import { loadConfig } from "../config.ts";
import { openStore, type Store } from "../store/store.ts";
import { type Accounts, type Caller, type Catalogue, createAccounts } from "./accounts.ts";

export const START = Date.UTC(2026, 0, 1);

export async function createTestHome() {
  const home = mkdtempSync(join(tmpdir(), "oxbow-accounts-"));
  const stores: Store[] = [];
  const shipped = loadConfig({ env: {} });
  const world = { now: START, catalogue: shipped as Catalogue };

  /** The home as one more process has it. */
  async function open(): Promise<Accounts> {
    const store = await openStore(home);
    stores.push(store);
    return createAccounts(store, { home, catalogue: () => world.catalogue, now: () => world.now });
  }

  return {
    home,
    /** To be changed by the test. */
    world,
    accounts: await open(),
    open,
    async close() {
      for (const store of stores) await store.close();
      rmSync(home, { recursive: true });
    },
  };
}

/** The caller that a key makes, or why it makes none. */
export function call(accounts: Accounts, key: string): Caller | string {
  try {
    return accounts.identify(new Headers({ authorization: `Bearer ${key}` }));
  } catch (error) {
    if (error instanceof ApiError) return error.message.replace(/^.*\*\*\*\*\. /, "");
    throw error;
  }
}
