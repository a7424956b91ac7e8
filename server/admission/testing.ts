// What admission's tests share: plans, callers, clocks that stand still, and slots as a fleet counts them.

import type { Plan } from "../config.ts";
import { type AdmissionOptions, type Ask, createAdmission } from "./admission.ts";
import type { Caller } from "./terms.ts";

const plan = (id: string, name: string, more: Partial<Plan>): Plan => ({
  id,
  name,
  version: 2,
  sold: true,
  priceCents: null,
  requestsPerDay: null,
  requestsPerMinute: null,
  inputTokensMax: null,
  outputTokensMax: null,
  audioSecondsMax: null,
  imagePixelsMax: null,
  speechCharactersMax: null,
  concurrencyMax: null,
  tiers: ["basic", "large"],
  priority: "high",
  trialDays: 0,
  ...more,
});

const caps = (requestsPerDay: number, requestsPerMinute: number, tokens: number, concurrencyMax: number) => ({
  requestsPerDay,
  requestsPerMinute,
  inputTokensMax: tokens,
  outputTokensMax: 2 * tokens,
  audioSecondsMax: tokens / 10,
  imagePixelsMax: 1000 * tokens,
  speechCharactersMax: tokens,
  concurrencyMax,
});

/** The dearest first, and one that is no longer on sale: neither order nor age may decide who is offered. */
export const PLANS: readonly Plan[] = [
  plan("whole", "Whole", { tiers: ["basic", "large", "huge"], priority: "dedicated" }),
  plan("gold", "Gold", { ...caps(5000, 100, 16_000, 50), priceCents: 35_000, priority: "highest" }),
  plan("silver", "Silver", { ...caps(1000, 60, 4000, 20), priceCents: 8000 }),
  plan("bronze", "Bronze", { ...caps(60, 5, 2000, 1), priceCents: 0, tiers: ["basic"], priority: "best_effort" }),
  plan("silver", "Silver", { ...caps(3_000, 600, 8000, 200), version: 1, sold: false, priceCents: 100 }),
];

/** Of the cheapest plan, on no trial and with a whole key. */
export function callerOf(more: Partial<Caller> = {}): Caller {
  return {
    accountId: "a",
    keyId: "k",
    plan: { id: "bronze", version: 2 },
    trialEndsAt: null,
    overrides: {},
    keyModels: null,
    keyRequestsPerDay: null,
    ...more,
  };
}

export const SMALL = { id: "small-1", tier: "basic", contextTokens: 32_000, weight: 1 };
export const LARGE = { ...SMALL, id: "large-1", tier: "large" };

export function askOf(more: Partial<Ask> = {}): Ask {
  const { signal } = new AbortController();
  return { caller: callerOf(), model: SMALL, inputTokens: 10, outputTokens: null, signal, ...more };
}

export const MORNING = Date.UTC(2026, 10, 21, 8);

/** Admission to `slots` slots of every model, with a ledger in memory; chance always says 0. */
export function admissionTo(slots: number, more: Partial<AdmissionOptions<string>> & { depthMax?: number } = {}) {
  const clock = { now: MORNING, monotonic: 0 };
  const settled = new Map<string, number>();
  let free = slots;
  const units = (id: string, day: string) => settled.get(`${id} ${day}`) ?? 0;
  const classes = PLANS.map(({ priority }) => priority).filter((id, at, all) => all.indexOf(id) === at);
  const admission = createAdmission<string>({
    place: (model) => {
      if (free === 0) return null;
      free--;
      const release = () => {
        free++;
        admission.pump(model);
      };
      return { engine: "engine", release };
    },
    classes: classes.map((id) => ({ id, floor: 0, depthMax: more.depthMax ?? 20_000, waitMsMax: 60_000 })),
    plans: () => PLANS,
    settled: units,
    settledByKey: units,
    now: () => clock.now,
    monotonic: () => clock.monotonic,
    random: () => 0,
    ...more,
  });
  return {
    admission,
    clock,
    free: () => free,
    /** As the gateway does it: the ledger has it, then the reservation is told, then the ticket closes. */
    settle(ticket: Awaited<ReturnType<typeof admission.admit>>, caller: Caller) {
      for (const id of [caller.accountId, caller.keyId]) {
        settled.set(`${id} ${ticket.day}`, units(id, ticket.day) + ticket.units);
      }
      ticket.reservation.settle();
      ticket.close();
    },
  };
}
