// What the gateway needs of the other rooms, and its settings. main.ts builds the rooms and hands them in.

import type { Accounts, Caller } from "../accounts/accounts.ts";
import type { Limits } from "../config.ts";
import type { Engine, Fleet } from "../fleet/fleet.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Running } from "./idempotency.ts";
import type { Pulse } from "./pulse.ts";

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
