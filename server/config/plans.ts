// The plans of data/plans.yaml: read and checked at the start, and again when the operator asks for it. Whoever reads them
// has the old table or the new one, never a part of each.

import planSchema from "../../data/plans.schema.json" with { type: "json" };
import { checkTiers } from "./cross-checks.ts";
import { freeze, labelOf, readTable } from "./data.ts";
import type { Model, Plan } from "./rows.ts";
import { ConfigError, createTableReader } from "./table.ts";

/** Names a plan in one version. */
export interface PlanRef {
  id: string;
  version: number;
}

export interface PlanTable {
  plans: readonly Plan[];
  /** The plan of the account that the operator's own keys belong to. */
  adminPlan: PlanRef;
  /** What an account gets when nothing else is said. */
  defaultPlan: PlanRef;
}

interface PlanFile {
  tiers: string[];
  sold: number;
  admin: string;
  default: string;
  versions: Record<string, Record<string, Omit<Plan, "id" | "version" | "sold">>>;
}

type Tiered = Pick<Model, "id" | "aliases" | "tier">;

const read = createTableReader<PlanFile>(planSchema);

/**
 * @param models what the tiers are checked against
 * @throws ConfigError
 */
export function readPlans(dataDir: string, models: readonly Tiered[]): PlanTable {
  const { tiers, sold, admin, default: standard, versions } = readTable(dataDir, "plans", read);
  const refuse = (field: string, known: object, value: unknown) => {
    const text = `${field} must be one of ${Object.keys(known).join(", ")}, but is ${value}`;
    return new ConfigError(`${labelOf(dataDir, "plans")}: ${text}`);
  };
  const current = versions[sold];
  if (current === undefined) throw refuse("sold", versions, sold);
  for (const [field, id] of [
    ["admin", admin],
    ["default", standard],
  ] as const) {
    if (!Object.hasOwn(current, id)) throw refuse(field, current, `'${id}'`);
  }
  const plans = Object.entries(versions).flatMap(([year, byId]) => {
    const version = Number(year);
    return Object.entries(byId).map(([id, plan]) => ({ id, version, sold: version === sold, ...plan }));
  });
  checkTiers({ models, plans, tiers }, (table) => labelOf(dataDir, table));
  return freeze({ plans, adminPlan: { id: admin, version: sold }, defaultPlan: { id: standard, version: sold } });
}

/** The plans in force. Ask each time: what was returned before stays as it was. */
export interface Plans {
  table(): PlanTable;
  /** Everything there is, of every version. */
  list(): readonly Plan[];
  find(plan: PlanRef): Plan | undefined;
  /**
   * Reads the file again; it holds from the moment this returns.
   * @param check may throw, and keeps the old table in force with it
   * @throws ConfigError, or what `check` throws: then nothing has changed
   */
  reload(check: (table: PlanTable) => void): void;
}

interface PlansOptions extends PlanTable {
  /** Where the file is. */
  dataDir: string;
  models: readonly Tiered[];
}

export function createPlans({ dataDir, models, plans, adminPlan, defaultPlan }: PlansOptions): Plans {
  let table: PlanTable = { plans, adminPlan, defaultPlan };
  let byName = namesOf(table);
  return {
    table: () => table,
    list: () => table.plans,
    find: ({ id, version }) => byName.get(`${id}@${version}`),
    reload: (check) => {
      const next = readPlans(dataDir, models);
      check(next);
      table = next;
      byName = namesOf(next);
    },
  };
}

function namesOf({ plans }: PlanTable): Map<string, Plan> {
  return new Map(plans.map((plan) => [`${plan.id}@${plan.version}`, plan]));
}
