// What a caller may: the row of his plan in force, his contract's numbers in place of the plan's, a trial, a narrowed key.

import type { Model, Plan, PlanLimit } from "../config.ts";
import type { Rules } from "./limits.ts";

/** How much of something other than tokens a call brings. */
export interface Measure {
  limit: Extract<PlanLimit, "audioSecondsMax" | "imagePixelsMax" | "speechCharactersMax">;
  /** In the limit's own unit. */
  amount: number;
  /** The field that holds it. */
  field: string;
}

/** Who asks, as accounts knows him. */
export interface Caller {
  accountId: string;
  keyId: string;
  /** Names a row of the plans. */
  plan: { id: string; version: number };
  /** Unix ms. Until then the account has all models, whatever the plan's tiers. */
  trialEndsAt: number | null;
  /** By contract, in place of the plan's numbers. */
  overrides: Readonly<Partial<Pick<Plan, PlanLimit>>>;
  /** Of a narrowed key: only these, by id. */
  keyModels: readonly string[] | null;
  keyRequestsPerDay: number | null;
}

export interface Terms {
  caller: Caller;
  plan: Plan;
  /** All that there are now, for saying which one would do. */
  plans: readonly Plan[];
  /** All models, whatever the plan's tiers. */
  onTrial: boolean;
}

/** @param at Unix ms */
export function termsOf(caller: Caller, plans: readonly Plan[], at: number): Terms {
  const plan = planOf(plans, caller.plan);
  // Neither a start nor a reload is let through without the plans that accounts have.
  if (!plan) throw new Error(`there is no plan ${caller.plan.id}@${caller.plan.version}`);
  return { caller, plan, plans, onTrial: caller.trialEndsAt !== null && at < caller.trialEndsAt };
}

/** By what names it, for as long as the table is the same: a caller makes many calls. */
const known = new WeakMap<Caller["plan"], { plans: readonly Plan[]; plan: Plan | undefined }>();

function planOf(plans: readonly Plan[], named: Caller["plan"]): Plan | undefined {
  const before = known.get(named);
  if (before?.plans === plans) return before.plan;
  const plan = plans.find(({ id, version }) => id === named.id && version === named.version);
  known.set(named, { plans, plan });
  return plan;
}

/** null: none. */
export function limitOf({ caller, plan }: Terms, name: PlanLimit): number | null {
  const agreed = caller.overrides[name];
  return agreed === undefined ? plan[name] : agreed;
}

/** The plan's numbers, with the contract's in their place. */
export function limitsIn({ caller, plan }: Terms): Record<PlanLimit, number | null> {
  return { ...plan, ...caller.overrides };
}

/** @param units what the call takes of the day */
export function rulesOf(terms: Terms, units: number): Rules {
  const { accountId, keyId, keyRequestsPerDay } = terms.caller;
  return {
    accountId,
    keyId,
    units,
    requestsPerDay: limitOf(terms, "requestsPerDay"),
    keyRequestsPerDay,
    requestsPerMinute: limitOf(terms, "requestsPerMinute"),
    concurrencyMax: limitOf(terms, "concurrencyMax"),
  };
}

/** Which of the two withholds the model; null: neither. */
export function withheldBy({ caller, plan, onTrial }: Terms, model: Pick<Model, "id" | "tier">): "plan" | "key" | null {
  if (!onTrial && !plan.tiers.includes(model.tier)) return "plan";
  return caller.keyModels === null || caller.keyModels.includes(model.id) ? null : "key";
}

/** The cheapest plan on sale that allows `needed`, and more than now; null: only the operator can help. */
export function liftedBy(terms: Terms, name: PlanLimit, needed: number): Plan | null {
  const now = limitOf(terms, name);
  const does = (plan: Plan) => {
    const limit = plan[name];
    return limit === null || (now !== null && limit > now && limit >= needed);
  };
  // His contract may give him less than his plan: that one is no way out.
  return terms.plans.filter((plan) => plan.sold && plan !== terms.plan && does(plan)).sort(byPrice)[0] ?? null;
}

/** Those on sale that have the tier, the cheapest first. */
export function plansWith({ plans }: Terms, tier: string): Plan[] {
  return plans.filter((plan) => plan.sold && plan.tiers.includes(tier)).sort(byPrice);
}

/** By contract comes last. */
function byPrice(one: Plan, other: Plan): number {
  return (one.priceCents ?? Number.MAX_VALUE) - (other.priceCents ?? Number.MAX_VALUE);
}
