// What one call holds of its account: a lease, which ends with the call and never outlives it. Every call has one, so it is of
// a class: as functions around shared variables it would be eight objects.

/** Units in flight that count for `day`. Those of an earlier day are nobody's concern any more. */
export interface Held {
  day: string;
  units: number;
}

export interface Account extends Held {
  /** Leases that have not ended. */
  running: number;
  /** GCRA's theoretical arrival time, in monotonic ms: when the next call is due at an even pace. */
  dueMs: number;
}

export interface Reservation {
  /** The UTC day it counts for, `2026-11-21`. */
  readonly day: string;
  readonly units: number;
  /** The ledger counts the units from now on. To be called in the same turn, so that they count once. */
  settle(): void;
  /** Ends the lease, and gives the day's units back unless they were settled. Further calls do nothing. */
  release(): void;
  /** `release` for a call that we sent away: the minute forgets it too, where no later call was measured against it. */
  withdraw(): void;
}

/** Who its units belong to. */
export interface Holders {
  account: Account;
  key: Held;
  keyId: string;
}

export class Lease implements Reservation {
  readonly day: string;
  readonly units: number;
  private readonly holders: Holders;
  private readonly dueBeforeMs: number;
  private readonly dueAfterMs: number;
  private readonly uncounted: (holders: Holders) => void;
  private running = true;
  private counted = true;

  /**
   * @param dueBeforeMs of the account, before the call was measured
   * @param uncounted told when its units are not in flight any more
   */
  constructor(
    day: string,
    units: number,
    holders: Holders,
    dueBeforeMs: number,
    uncounted: (holders: Holders) => void,
  ) {
    this.day = day;
    this.units = units;
    this.holders = holders;
    this.dueBeforeMs = dueBeforeMs;
    this.dueAfterMs = holders.account.dueMs;
    this.uncounted = uncounted;
    holders.account.running++;
    hold(holders.account, day, units);
    hold(holders.key, day, units);
  }

  settle(): void {
    if (!this.counted) return;
    this.counted = false;
    const { account, key } = this.holders;
    if (account.day === this.day) account.units -= this.units;
    if (key.day === this.day) key.units -= this.units;
    this.uncounted(this.holders);
  }

  release(): void {
    if (this.running) this.holders.account.running--;
    this.running = false;
    this.settle();
  }

  withdraw(): void {
    if (!this.running) return;
    this.release();
    const { account } = this.holders;
    if (account.dueMs === this.dueAfterMs) account.dueMs = this.dueBeforeMs;
  }
}

function hold(held: Held, day: string, units: number): void {
  if (held.day !== day) held.units = 0;
  held.day = day;
  held.units += units;
}
