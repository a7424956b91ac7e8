// Requests a day, requests a minute and requests at the same time, of every account: reserved together or not at all, in one
// synchronous step, so that no number of calls at once can pass a cap. What was settled before is asked of the ledger; what
// is in flight is counted here.

import { type Account, type Held, type Holders, Lease, type Reservation } from "./lease.ts";

/** What a call is held to. null: no limit. */
export interface Rules {
  accountId: string;
  keyId: string;
  /** What the call takes of the day: the weight of its model. It is one request of the minute whatever that is. */
  units: number;
  requestsPerDay: number | null;
  /** Of a narrowed key, within its account's. */
  keyRequestsPerDay: number | null;
  requestsPerMinute: number | null;
  concurrencyMax: number | null;
}

export type RuleName = "requestsPerDay" | "keyRequestsPerDay" | "requestsPerMinute" | "concurrency";

/** The first rule that was in the way. */
export interface Refused {
  rule: RuleName;
  limit: number;
  /** Of the day, and at the same time: what is settled and in flight. */
  used: number;
  /** Until the rule lets the same call through; null when nobody can know, because other calls must end first. */
  resetMs: number | null;
}

/** How a limit stands. `resetMs`: until all of it is there again. */
export interface Standing {
  limit: number;
  remaining: number;
  resetMs: number;
}

export interface LimitsState {
  requestsPerDay: Standing | null;
  /** `remaining`: how many could go at this moment. */
  requestsPerMinute: Standing | null;
  concurrency: { limit: number | null; used: number };
  /** Of the account, on this day: taken, and not settled yet. */
  unitsInFlight: number;
}

export interface LimitsOptions {
  /** Units that the ledger has settled for a UTC day. */
  settled: (accountId: string, day: string) => number;
  settledByKey: (keyId: string, day: string) => number;
  /** Unix ms: says which day it is. */
  now: () => number;
  /** Monotonic ms: paces the minute. A clock that is set must not lock anybody out, nor let anybody in. */
  monotonic: () => number;
  /** The newest day that the ledger has seen, `2026-11-21`: a clock that was set back does not open it again. */
  lastDay?: string;
}

export type Limits = ReturnType<typeof createLimits>;

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** A sixth of a minute's requests may come at once; always at least one. */
const BURST_MS = MINUTE_MS / 6;
/** Sums of fractions of a millisecond end a hair beside the truth. */
const ROUNDING_MS = 1e-6;
/** Below this many, nobody is looked for who could be forgotten. */
const KNOWN_MIN = 1_024;

export function createLimits({ settled, settledByKey, now, monotonic, lastDay = "" }: LimitsOptions) {
  const accounts = new Map<string, Account>();
  const keys = new Map<string, Held>();
  let sweepAt = KNOWN_MIN;
  let today = lastDay;
  let todayEndsAt = lastDay === "" ? 0 : endOf(lastDay);

  /** Never goes back: what was used up stays used up. */
  function dayAt(at: number): string {
    if (at < todayEndsAt) return today;
    today = new Date(at).toISOString().slice(0, 10);
    todayEndsAt = endOf(today);
    return today;
  }

  function heldOn(held: Held | undefined, day: string): number {
    return held?.day === day ? held.units : 0;
  }

  function dayUsed({ accountId, keyId }: Rules, day: string): { account: number; key: number } {
    return {
      account: settled(accountId, day) + heldOn(accounts.get(accountId), day),
      key: settledByKey(keyId, day) + heldOn(keys.get(keyId), day),
    };
  }

  /**
   * Decides in this order, and takes nothing unless all of it can be had:
   *  1. the account's day;
   *  2. the key's share of it;
   *  3. the minute;
   *  4. how many run at the same time.
   */
  function findRefusal(rules: Rules, day: string): Refused | null {
    const account = accounts.get(rules.accountId);
    const used = dayUsed(rules, day);
    const dayMs = todayEndsAt - now();
    const { requestsPerDay, keyRequestsPerDay, requestsPerMinute, concurrencyMax, units } = rules;
    if (requestsPerDay !== null && used.account + units > requestsPerDay) {
      return { rule: "requestsPerDay", limit: requestsPerDay, used: used.account, resetMs: dayMs }; // 1
    }
    if (keyRequestsPerDay !== null && used.key + units > keyRequestsPerDay) {
      return { rule: "keyRequestsPerDay", limit: keyRequestsPerDay, used: used.key, resetMs: dayMs }; // 2
    }
    if (requestsPerMinute !== null) {
      const waitMs =
        (account?.dueMs ?? 0) + MINUTE_MS / requestsPerMinute - toleranceOf(requestsPerMinute) - monotonic();
      const minute = { limit: requestsPerMinute, used: requestsPerMinute };
      if (waitMs > ROUNDING_MS) return { rule: "requestsPerMinute", ...minute, resetMs: waitMs }; // 3
    }
    const running = account?.running ?? 0;
    if (concurrencyMax !== null && running >= concurrencyMax) {
      return { rule: "concurrency", limit: concurrencyMax, used: running, resetMs: null }; // 4
    }
    return null;
  }

  function accountOf(id: string): Account {
    const known = accounts.get(id);
    if (known) return known;
    const account = { day: "", units: 0, running: 0, dueMs: 0 };
    accounts.set(id, account);
    return account;
  }

  function keyOf(id: string, day: string): Held {
    const known = keys.get(id);
    if (known) return known;
    const key = { day, units: 0 };
    keys.set(id, key);
    return key;
  }

  /** A lease that outlived its day may know an entry that was forgotten and made anew since. */
  function forgetKey({ key, keyId }: Holders): void {
    if ((key.units === 0 || key.day !== today) && keys.get(keyId) === key) keys.delete(keyId);
  }

  /** Forgets accounts that stand as if they had never called. Seldom enough to cost each call next to nothing. */
  function sweep(): void {
    if (accounts.size < sweepAt) return;
    const at = monotonic();
    for (const [id, { running, dueMs }] of accounts) if (running === 0 && dueMs <= at) accounts.delete(id);
    sweepAt = Math.max(KNOWN_MIN, 2 * accounts.size);
  }

  return {
    reserve(rules: Rules): Reservation | Refused {
      const day = dayAt(now());
      const refused = findRefusal(rules, day);
      if (refused) return refused;
      sweep();
      const { units, keyId, requestsPerMinute } = rules;
      const account = accountOf(rules.accountId);
      const holders = { account, key: keyOf(keyId, day), keyId };
      const dueBeforeMs = account.dueMs;
      if (requestsPerMinute !== null)
        account.dueMs = Math.max(dueBeforeMs, monotonic()) + MINUTE_MS / requestsPerMinute;
      return new Lease(day, units, holders, dueBeforeMs, forgetKey);
    },

    state(rules: Rules): LimitsState {
      const at = now();
      const day = dayAt(at);
      const account = accounts.get(rules.accountId);
      const used = dayUsed(rules, day);
      return {
        requestsPerDay: narrower(
          standingOf(rules.requestsPerDay, used.account, todayEndsAt - at),
          standingOf(rules.keyRequestsPerDay, used.key, todayEndsAt - at),
        ),
        requestsPerMinute: minuteOf(rules.requestsPerMinute, (account?.dueMs ?? 0) - monotonic()),
        concurrency: { limit: rules.concurrencyMax, used: account?.running ?? 0 },
        unitsInFlight: heldOn(account, day),
      };
    },

    /** What is remembered at this moment. */
    counts() {
      let inFlight = 0;
      let held = 0;
      for (const account of accounts.values()) {
        inFlight += account.running;
        held += heldOn(account, today);
      }
      return { accounts: accounts.size, keys: keys.size, inFlight, held };
    },
  };
}

/** How far ahead of an even pace an account may be. Source: GCRA, ITU-T I.371 (the virtual scheduling algorithm). */
function toleranceOf(requestsPerMinute: number): number {
  return Math.max(MINUTE_MS / requestsPerMinute, BURST_MS);
}

function minuteOf(limit: number | null, aheadMs: number): Standing | null {
  if (limit === null) return null;
  const resetMs = Math.max(0, aheadMs);
  // A plan with fewer requests than before leaves an account further ahead than it could now get.
  const free = Math.max(0, toleranceOf(limit) - resetMs);
  return { limit, remaining: Math.floor((free + ROUNDING_MS) / (MINUTE_MS / limit)), resetMs };
}

function standingOf(limit: number | null, used: number, resetMs: number): Standing | null {
  if (limit === null) return null;
  return { limit, remaining: Math.max(0, limit - used), resetMs };
}

function narrower(one: Standing | null, other: Standing | null): Standing | null {
  if (one === null || other === null) return one ?? other;
  return other.remaining < one.remaining ? other : one;
}

/** Unix ms of the midnight that ends a UTC day. */
function endOf(day: string): number {
  return Date.parse(`${day}T00:00:00Z`) + DAY_MS;
}
