// How much memory the bodies of calls take, and what is fetched for them or made of them: of all together, and of one
// account. What would not fit is refused before it is read, and told when to come again.

import { ApiError } from "@oxbow/contract";
import type { Limits } from "../config.ts";

/** What one call holds, until it has no more need of its body. */
export interface Hold {
  /**
   * Takes so many bytes more.
   * @throws ApiError `rate_limit_exceeded` while the account's other calls are in the way, `bodies_full` while all are,
   *   `body_too_large` when the call would not fit even alone
   */
  take(bytes: number): void;
  /** Gives all back. Safe to call twice; what is taken afterwards is refused nothing and counted nowhere. */
  release(): void;
}

export interface HoldsOptions {
  bytesMax: number;
  accountBytesMax: number;
  /** 0 to 1. */
  random: () => number;
}

export type Holds = ReturnType<typeof createHolds>;

export function createHolds({ bytesMax, accountBytesMax, random }: HoldsOptions) {
  let total = 0;
  const accounts = new Map<string, number>();
  const ownMax = Math.min(bytesMax, accountBytesMax);

  function refuse(own: number, account: number, bytes: number): void {
    if (own + bytes > ownMax) {
      const text = `The call is too large: with what is fetched for it and made of it, it would take more than the ${ownMax} bytes that one may.`;
      throw new ApiError("body_too_large", text);
    }
    if (account + bytes > accountBytesMax) {
      const { retryAfterMs, again } = later(random);
      const text = `Rate limit reached for bytes of bodies at the same time: your account may have ${accountBytesMax}, has ${account}, and this call takes ${bytes} more. ${again}`;
      throw new ApiError("rate_limit_exceeded", text, { retryAfterMs });
    }
    if (total + bytes > bytesMax) {
      const { retryAfterMs, again } = later(random);
      throw new ApiError("bodies_full", `The server holds as many bytes of bodies as it can. ${again}`, {
        retryAfterMs,
      });
    }
  }

  /** Every call has one, so it is of a class. */
  class OneHold implements Hold {
    private readonly accountId: string;
    private own = 0;
    private ended = false;

    constructor(accountId: string) {
      this.accountId = accountId;
    }

    take(bytes: number): void {
      if (this.ended) return;
      const account = accounts.get(this.accountId) ?? 0;
      refuse(this.own, account, bytes);
      this.own += bytes;
      total += bytes;
      accounts.set(this.accountId, account + bytes);
    }

    release(): void {
      if (this.ended) return;
      this.ended = true;
      total -= this.own;
      const left = (accounts.get(this.accountId) ?? 0) - this.own;
      if (left > 0) accounts.set(this.accountId, left);
      else accounts.delete(this.accountId);
    }
  }

  return {
    open: (accountId: string): Hold => new OneHold(accountId),
    /** Bytes that are held at this moment. */
    held: () => total,
    /** Accounts that hold some. */
    accounts: () => accounts.size,
  };
}

/**
 * The bounds that the operator has set, or what a machine can bear. While it is worked on a body takes several times its
 * bytes: as it came, as text, unpacked, and on its way to the engine. So bodies get a thirty-second of the memory and take
 * an eighth of it at worst.
 *
 * @param memoryBytes free when the server started
 */
export function holdsFor(limits: Limits, memoryBytes: number): Omit<HoldsOptions, "random"> {
  const { bodyBytesMax, bodiesBytesMax, accountBodiesBytesMax } = limits;
  const bytesMax = bodiesBytesMax || Math.max(BODIES_MIN * bodyBytesMax, Math.floor(memoryBytes / 32));
  return { bytesMax, accountBytesMax: accountBodiesBytesMax || Math.floor(bytesMax / 2) };
}

/** Room for as many of the largest, however small the machine is: half of them may be one account's. */
const BODIES_MIN = 4;

/** A body is gone when its call has an answer, which takes seconds. Who was refused together comes back apart. */
function later(random: () => number): { retryAfterMs: number; again: string } {
  const retryAfterMs = Math.ceil(100 + random() * 200) * 10;
  return { retryAfterMs, again: `Please try again in ${retryAfterMs / 1000}s.` };
}
