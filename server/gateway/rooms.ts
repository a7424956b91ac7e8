// What the gateway needs of the other rooms, and its settings. main.ts builds the rooms and hands them in.

import type { Accounts } from "../accounts/accounts.ts";
import type { Admission } from "../admission/admission.ts";
import type { Limits } from "../config.ts";
import type { Engine, Fleet, Outcome } from "../fleet/fleet.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Media } from "../media/media.ts";
import type { RequestRecord } from "../metrics/metrics.ts";
import type { Traces } from "../traces/traces.ts";
import type { Traffic } from "../traffic/traffic.ts";
import type { Catalogue } from "./catalogue.ts";
import type { RetryBudget } from "./failover.ts";
import type { Holds } from "./holds.ts";
import type { Pulse } from "./pulse.ts";

export interface Rooms {
  accounts: Pick<Accounts, "identify">;
  admission: Pick<Admission<Engine, Outcome>, "admit" | "allows" | "headers" | "limitsOf" | "queues" | "state">;
  fleet: Pick<Fleet, "engines" | "serves" | "signs" | "states" | "ready">;
  ledger: Pick<Ledger, "reserve" | "settle" | "void" | "findAnswer" | "healthy" | "day" | "settled">;
  media: Pick<Media, "fetch" | "image" | "audio" | "sniff" | "blobs">;
  usage: Ledger["usage"];
  metrics: MetricsPage;
  traffic: Pick<Traffic, "sideOf" | "begun">;
  traces: Pick<Traces, "begin">;
  /** Told of every request at its end. */
  observe: (record: RequestRecord) => void;
  /** What callers know this server by, without a path; null: as they reach it. */
  publicUrl: string | null;
  /** What it listens on, without a path. */
  ownUrl: () => string;
  catalogue: Catalogue;
  /** Of open streams. */
  pulse: Pulse;
  /** Of engines that were asked and have not begun to answer. */
  waits: Pulse;
  /** Body hashes of the calls that run under an Idempotency-Key, by account and key. */
  running: Map<string, string>;
  holds: Pick<Holds, "open">;
  retries: RetryBudget;
  limits: Limits;
  version: string;
  /** True once the server has been told to stop. */
  draining: () => boolean;
  /** True once what still runs is cut off: who is gone from then on has not left by himself. */
  stopped: () => boolean;
  log: Log;
}

export interface MetricsPage {
  access: "key" | "open" | "off";
  /** Opens the metrics and nothing else. */
  token: string | undefined;
  contentType: string;
  render: () => Promise<string>;
}

/** Structured: fields first, then a sentence. Never a key, a prompt or an answer. */
export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}
