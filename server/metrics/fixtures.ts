// A request as the tests of its listeners know it.

import type { RequestRecord } from "./record.ts";

/** Answered as a stream, counted once. */
export const RECORD: RequestRecord = {
  id: "req_0",
  method: "POST",
  endpoint: "/v1/chat/completions",
  accountId: "acct_canary",
  keyId: "key_canary",
  plan: "pro@2026",
  model: "m",
  servedModel: "",
  side: "",
  priority: "high",
  engine: "e",
  stream: true,
  status: 200,
  code: "",
  outcome: "complete",
  units: 1,
  waitedMs: 4,
  firstTokenMs: 30,
  durationMs: 130,
  tokensIn: 7,
  tokensOut: 11,
  retries: 0,
  clientRetry: false,
  dropped: [],
};
