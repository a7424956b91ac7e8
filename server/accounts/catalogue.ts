// The plans there are, as accounts are given them: found by the name people type, and missed with a word on what exists.

import type { Config, Plan, PlanRef, PlanTable } from "../config.ts";
import { AccountsError } from "./errors.ts";
import { shown } from "./names.ts";

/** What the tables of data/ say at the moment. */
export type Catalogue = PlanTable & Pick<Config, "models">;

export function nameOf({ id, version }: PlanRef): string {
  return `${id}@${version}`;
}

/**
 * The plan that `name` means.
 * @param name `pro` for the version that is sold, `pro@2025` for another; undefined for what new accounts get
 * @throws AccountsError that lists what there is
 */
export function planCalled(name: string | undefined, { plans, defaultPlan }: Catalogue): Plan {
  const wanted = name ?? nameOf(defaultPlan);
  const plan = plans.find((each) => nameOf(each) === wanted || (each.sold && each.id === wanted));
  if (plan) return plan;
  throw new AccountsError(`There is no plan called ${shown(wanted)}. There are ${plans.map(nameOf).join(", ")}.`);
}

/** @throws AccountsError that names the account: its plan is no longer among the plans */
export function planOf(account: { name: string; plan: PlanRef }, { plans }: Pick<Catalogue, "plans">): Plan {
  const plan = plans.find(({ id, version }) => id === account.plan.id && version === account.plan.version);
  if (plan) return plan;
  throw new AccountsError(
    `The account '${account.name}' has the plan ${nameOf(account.plan)}, which is not in plans.yaml. Put it back there, or give the account another one with \`oxbow accounts set-plan\`. There are ${plans.map(nameOf).join(", ")}.`,
  );
}
