// What the gateway needs of the other rooms, and its settings. main.ts builds the rooms and hands them in.

import type { Accounts } from "../accounts/accounts.ts";
import type { Admission } from "../admission/admission.ts";
import type { Limits } from "../config.ts";
import type { Engine, Fleet } from "../fleet/fleet.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Pulse } from "./pulse.ts";

export interface Rooms {
  accounts: Pick<Accounts, "identify">;
  admission: Pick<Admission<Engine>, "admit">;
  fleet: Pick<Fleet, "serves" | "states" | "ready">;
  catalogue: Catalogue;
  pulse: Pulse;
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
