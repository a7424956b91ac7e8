// What the gateway needs of the other rooms, and its settings. main.ts builds the rooms and hands them in.

import type { Outcome } from "@oxbow/contract";
import type { Accounts, Caller } from "../accounts/accounts.ts";
import type { Limits } from "../config.ts";
import type { Engine, Fleet } from "../fleet/fleet.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Running } from "./idempotency.ts";
import type { Pulse } from "./pulse.ts";

export interface StoredAnswer {
  status: number;
  contentType: string;
  bytes: Uint8Array;
}
interface Ledger {
  reserve(entry: {
    requestId: string;
    accountId: string;
    keyId: string;
    plan: string;
    model: string;
    endpoint: string;
    day: string;
    units: number;
    at: number;
    idempotencyKey?: string;
    bodyHash?: string;
  }): void;
  settle(
    requestId: string,
    result: {
      outcome: Outcome;
      tokensIn: number;
      tokensOut: number;
      waitedMs: number;
      firstTokenMs: number | null;
      durationMs: number;
    },
    answer?: StoredAnswer,
  ): Promise<void>;
  void(requestId: string, outcome: Outcome): void;
  findAnswer(accountId: string, key: string): Promise<{ bodyHash: string; answer: StoredAnswer | null } | null>;
  healthy(): boolean;
}
export interface Ticket<E> {
  engine: E;
  waitedMs: number;
  outputTokensMax: number | null;
  clamped: boolean;
  day: string;
  units: number;
  reservation: { settle(): void; release(): void };
  close(): void;
}
interface Ask {
  caller: Caller;
  model: { id: string; tier: string; weight: number };
  inputTokens: number;
  outputTokens: number | null;
  signal: AbortSignal;
}

export interface Rooms {
  accounts: Pick<Accounts, "identify">;
  admission: { admit(ask: Ask): Promise<Ticket<Engine>>; headers(caller: Caller): Record<string, string> };
  fleet: Pick<Fleet, "serves" | "states" | "ready">;
  ledger: Pick<Ledger, "reserve" | "settle" | "void" | "findAnswer" | "healthy">;
  catalogue: Catalogue;
  pulse: Pulse;
  running: Running;
  limits: Limits;
  version: string;
  /** True once the server has been told to stop. */
  draining: () => boolean;
  log: Log;
}

/** Structured: fields first, then a sentence. Never a key, a prompt or an answer. */
export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}
