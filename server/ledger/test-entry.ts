// A request as the ledger's tests reserve and settle it.

import { newId } from "@oxbow/contract";
import type { LedgerEntry, Settled } from "./entry.ts";

export const DAY = "2026-11-21";
export const NOON = Date.parse(`${DAY}T12:00:00Z`);

/** One more request of the one account. */
export function newEntry(fields: Partial<LedgerEntry> = {}): LedgerEntry {
  const names = { accountId: "acc-1", keyId: "key00001", plan: "p@1", model: "tiny", endpoint: "/v1/chat/completions" };
  return { requestId: newId("req_"), ...names, day: DAY, units: 1, at: NOON, ...fields };
}

export const DONE: Settled = {
  outcome: "complete",
  tokensIn: 1,
  tokensOut: 1,
  waitedMs: 0,
  firstTokenMs: null,
  durationMs: 1,
};
