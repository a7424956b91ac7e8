// What is settled on the last day seen, by account and by key, in memory: admission asks with every request.

import { laterDay } from "./day.ts";
import type { State } from "./events.ts";

export type Counts = ReturnType<typeof createCounts>;

/** @param state what the file says */
export function createCounts({ lastDay, counts }: Pick<State, "lastDay" | "counts">) {
  let day = lastDay;
  let accounts = new Map<string, number>();
  let keys = new Map<string, number>();

  function add(at: string, units: number, accountId: string, keyId: string): void {
    if (at !== day) return; // admitted before midnight: of no quota that can still be asked for
    accounts.set(accountId, (accounts.get(accountId) ?? 0) + units);
    if (keyId !== "") keys.set(keyId, (keys.get(keyId) ?? 0) + units);
  }

  for (const { units, accountId, keyId } of counts) add(day, units, accountId, keyId);

  return {
    /**
     * The day that something admitted on `asked` belongs to: never one before the last day seen, so that a clock that
     * steps back cannot give a day's quota a second time.
     */
    dayFor: (asked: string): string => laterDay(asked, day),
    /** Something was admitted on this day. */
    saw(seen: string): void {
      if (seen <= day) return;
      day = seen;
      accounts = new Map();
      keys = new Map();
    },
    add,
    /** Units of an account on the day for `asked`. */
    ofAccount: (accountId: string, asked: string): number => (asked > day ? 0 : (accounts.get(accountId) ?? 0)),
    ofKey: (keyId: string, asked: string): number => (asked > day ? 0 : (keys.get(keyId) ?? 0)),
  };
}
