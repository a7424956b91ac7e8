// What the ledger is told and what it tells: the entry of a request, how it ended, and a request's usage as people see it.

import type { Outcome } from "@oxbow/contract";

/** Whose request it is, what it asked for, and what it counts. */
export interface RequestNames {
  requestId: string;
  accountId: string;
  keyId: string;
  /** `id@version` */
  plan: string;
  /** The model's own id, never an alias. */
  model: string;
  endpoint: string;
  /** UTC day of admission, `YYYY-MM-DD`. One before the last day seen becomes that day. */
  day: string;
  /** What it counts against the day's quota. */
  units: number;
  /** Unix milliseconds. */
  at: number;
}

/** A request that was let in. Counted once it is settled. */
export interface LedgerEntry extends RequestNames {
  idempotencyKey?: string;
  bodyHash?: string;
}

export interface Settled {
  outcome: Outcome;
  tokensIn: number;
  tokensOut: number;
  waitedMs: number;
  firstTokenMs: number | null;
  durationMs: number;
}

/** What a repeat under the same Idempotency-Key gets. */
export interface StoredAnswer {
  status: number;
  contentType: string;
  bytes: Uint8Array;
}

/** What of the usage is meant; what is left out means all. Days are UTC, `YYYY-MM-DD`, both ends included. */
export interface UsageFilter {
  accountId?: string | undefined;
  keyId?: string | undefined;
  model?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export interface UsageTotals {
  /** Requests that counted. */
  requests: number;
  /** What they counted, and corrections. */
  units: number;
  tokensIn: number;
  tokensOut: number;
}

export type UsageGroup = "account" | "key" | "model" | "day";

/** Totals of one account, key, model or day, by the grouping; `name` is its id (empty for corrections, which have none). */
export interface UsageOf extends UsageTotals {
  name: string;
}

/** One request that has ended, or a correction. */
export interface UsageRow extends RequestNames {
  /** Where it stands in the ledger; the cursor of a page. */
  seq: number;
  kind: "settle" | "void" | "adjust";
  outcome: Outcome | null;
  tokensIn: number;
  tokensOut: number;
  waitedMs: number | null;
  firstTokenMs: number | null;
  durationMs: number | null;
  /** Of a correction. */
  reason: string | null;
}

export interface UsagePage {
  /** Newest first. */
  rows: UsageRow[];
  hasMore: boolean;
}
