// The line of one class: start-time fair queueing by account (Goyal, Vin and Cheng, SIGCOMM 1996), in order of arrival
// within an account. Every call costs its account 1/weight of virtual time; the account that is least far ahead goes next.
// Each account stands in line once, however many calls it has there: who hangs up has used nothing.

import { createHeap, type HeapItem } from "./queue-heap.ts";
import { createList, type Link, type List } from "./queue-list.ts";
import { createMeter, type Meter } from "./queue-pace.ts";

export interface Line<T> {
  readonly depth: number;
  /** The one that waits the longest. */
  readonly oldest: T | undefined;
  /** Whose turn it is. */
  readonly next: T | undefined;
  depthOf(accountId: string): number;
  /**
   * How many would go before the next call of this account, if nobody came after it. Looks at every account in line.
   * @param weight above 0
   */
  ahead(accountId: string, weight: number): number;
  /** What an account gets at least: its part of the weights in line, above 0 and up to 1. */
  shareOf(accountId: string, weight: number): number;
  /** Calls per ms that an account took from this line lately. */
  takenBy(accountId: string): number;
  /** @returns the place in line, for `remove` */
  add(accountId: string, weight: number, value: T): Place<T>;
  /** Takes out whose turn it is. */
  take(): T | undefined;
  /** Leaves the line unserved. */
  remove(place: Place<T>): void;
}

export interface Place<T> {
  account: Account<T>;
  inAccount: Link<Place<T>>;
  inAge: Link<T>;
}

interface Account<T> extends HeapItem {
  id: string;
  weight: number;
  waiting: List<Place<T>>;
  /** Virtual times: of the call that is its next one, and after the last one served. */
  start: number;
  finish: number;
  /** Among equal starts, the one that came to its place first. */
  order: number;
  taken: Meter;
}

/** @param now monotonic ms */
export function createLine<T>(now: () => number): Line<T> {
  const ages = createList<T>();
  const accounts = new Map<string, Account<T>>();
  const heap = createHeap<Account<T>>((a, b) => a.start < b.start || (a.start === b.start && a.order < b.order));
  /** The start of the last call served. */
  let virtualNow = 0;
  /** Of the accounts in line. */
  let weights = 0;
  let orders = 0;
  let sweepAt = SWEEP_MIN;

  function accountOf(id: string, weight: number): Account<T> {
    const known = accounts.get(id);
    if (known) {
      if (known.at >= 0) weights += weight - known.weight;
      known.weight = weight;
      return known;
    }
    if (accounts.size >= sweepAt) sweep();
    const waiting = createList<Place<T>>();
    const account = { id, weight, waiting, start: 0, finish: 0, order: 0, taken: createMeter(now), at: -1 };
    accounts.set(id, account);
    return account;
  }

  /** Forgets accounts that have nothing in line and are not ahead of the others any more: they would start afresh. */
  function sweep(): void {
    for (const [id, { at, finish }] of accounts) if (at < 0 && finish <= virtualNow) accounts.delete(id);
    sweepAt = Math.max(SWEEP_MIN, 2 * accounts.size);
  }

  /** A line that has run empty owes nobody anything. */
  function unlink({ account, inAccount, inAge }: Place<T>): void {
    ages.remove(inAge);
    account.waiting.remove(inAccount);
    if (account.waiting.length === 0) {
      heap.remove(account);
      weights -= account.weight;
    }
    if (ages.length > 0) return;
    accounts.clear();
    virtualNow = 0;
    weights = 0; // sums of fractions do not come back to nothing by themselves
  }

  return {
    get depth() {
      return ages.length;
    },
    get oldest() {
      return ages.first;
    },
    get next() {
      return heap.first?.waiting.first?.inAge.value;
    },
    depthOf: (accountId) => accounts.get(accountId)?.waiting.length ?? 0,

    ahead(accountId, weight) {
      const own = accounts.get(accountId);
      const count = own?.waiting.length ?? 0;
      const start = own && count > 0 ? own.start + count / weight : Math.max(virtualNow, own?.finish ?? 0);
      let ahead = count;
      for (const other of heap.items) {
        if (other === own || other.start > start) continue;
        ahead += Math.min(other.waiting.length, Math.floor((start - other.start) * other.weight) + 1);
      }
      return ahead;
    },

    shareOf(accountId, weight) {
      const own = accounts.get(accountId);
      return weight / (weights + weight - (own && own.at >= 0 ? own.weight : 0));
    },
    takenBy: (accountId) => accounts.get(accountId)?.taken.perMs() ?? 0,

    add(accountId, weight, value) {
      const account = accountOf(accountId, weight);
      const place = { account, inAge: ages.add(value) } as Place<T>;
      place.inAccount = account.waiting.add(place);
      if (account.at < 0) {
        account.start = Math.max(virtualNow, account.finish);
        account.order = orders++;
        heap.add(account);
        weights += account.weight;
      }
      return place;
    },

    take() {
      const account = heap.first;
      if (!account) return undefined;
      const place = account.waiting.first!;
      virtualNow = account.start;
      account.finish = account.start + 1 / account.weight;
      account.start = account.finish;
      account.order = orders++;
      account.taken.count();
      heap.moved(account);
      unlink(place);
      return place.inAge.value;
    },

    remove: unlink,
  };
}

/** Accounts kept before the first look at who can be forgotten. */
const SWEEP_MIN = 256;
