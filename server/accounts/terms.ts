// What an account may use beyond or below the row of its plan, and what a key of it may: overrides by contract replace the
// plan's numbers, and a key can be narrowed within what its account has. Pure; counting and refusing is admission's work.

import type { Model, Plan, PlanLimit } from "../config.ts";
import { AccountsError } from "./errors.ts";
import { shown } from "./names.ts";

/** The numbers of a plan that a contract may replace. */
export const LIMIT_NAMES = [
  "requestsPerDay",
  "requestsPerMinute",
  "inputTokensMax",
  "outputTokensMax",
  "audioSecondsMax",
  "imagePixelsMax",
  "speechCharactersMax",
  "concurrencyMax",
] as const satisfies readonly PlanLimit[];

/** null: no limit. */
export type AccountLimits = Pick<Plan, PlanLimit>;
export type Overrides = Readonly<Partial<AccountLimits>>;

/** @throws AccountsError for anything but a positive whole number or null under a known name */
export function checkOverrides(overrides: Readonly<Record<string, number | null>>): Overrides {
  for (const [name, value] of Object.entries(overrides)) {
    if (!LIMIT_NAMES.some((known) => known === name)) {
      throw new AccountsError(`There is no limit called ${shown(name)}. There are ${LIMIT_NAMES.join(", ")}.`);
    }
    if (value !== null && !isCount(value))
      throw new AccountsError(`${name} must be a whole number from 1 on, or none.`);
  }
  return overrides;
}

/** What the account may use: the plan's numbers, but for those that its contract replaces. */
export function limitsOf(plan: AccountLimits, overrides: Overrides): AccountLimits {
  const limits = LIMIT_NAMES.map((name) => [name, overrides[name] === undefined ? plan[name] : overrides[name]]);
  return Object.fromEntries(limits) as AccountLimits;
}

/** Of a key: null leaves all that the account has. */
export interface Narrowing {
  /** Ids. */
  models: readonly string[] | null;
  requestsPerDay: number | null;
}

export interface Terms {
  plan: Plan;
  overrides: Overrides;
  trialEndsAt: number | null;
}

/**
 * Holds a narrowing to what the account has at this moment, and puts ids in the place of aliases. An account that has less
 * later takes its keys along: they are held to both.
 * @param models the whole catalogue
 * @param at Unix milliseconds
 * @throws AccountsError for an unknown model, and for one or for a number that the account does not have
 */
export function checkNarrowing(
  asked: Narrowing,
  terms: Terms,
  models: readonly Pick<Model, "id" | "aliases" | "tier">[],
  at: number,
): Narrowing {
  const { plan, overrides, trialEndsAt } = terms;
  const { requestsPerDay } = limitsOf(plan, overrides);
  const planName = `${plan.id}@${plan.version}`;
  if (asked.requestsPerDay !== null) {
    if (!isCount(asked.requestsPerDay)) {
      throw new AccountsError("A key's requests a day must be a whole number from 1 on.");
    }
    if (requestsPerDay !== null && asked.requestsPerDay > requestsPerDay) {
      throw new AccountsError(
        `A key can have fewer requests a day than its account, not more: the account has ${requestsPerDay} (${planName}).`,
      );
    }
  }
  if (asked.models === null) return asked;
  if (asked.models.length === 0) throw new AccountsError("A key must have at least one model.");
  const onTrial = trialEndsAt !== null && at < trialEndsAt;
  const ids = asked.models.map((name) => {
    const model = models.find(({ id, aliases }) => id === name || aliases.includes(name));
    if (!model) {
      const all = models.map(({ id }) => id).join(", ");
      throw new AccountsError(`There is no model called ${shown(name)}. There are ${all}.`);
    }
    if (!onTrial && !plan.tiers.includes(model.tier)) {
      throw new AccountsError(
        `The account does not have the model ${model.id} (${model.tier}): its plan ${planName} has ${plan.tiers.join(", ")}.`,
      );
    }
    return model.id;
  });
  return { models: [...new Set(ids)], requestsPerDay: asked.requestsPerDay };
}

/** As `checkOverrides` let it in. */
export function readOverrides(json: string | null): Overrides {
  return json === null ? {} : (JSON.parse(json) as Overrides);
}

/** As `checkNarrowing` let it in. */
export function readModels(json: string | null): readonly string[] | null {
  return json === null ? null : Object.freeze(JSON.parse(json) as string[]);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}
