import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Plan } from "../config.ts";
import { AccountsError } from "./errors.ts";
import { checkNarrowing, checkOverrides, LIMIT_NAMES, limitsOf, type Narrowing, type Overrides } from "./terms.ts";

const TIERS = ["low", "middle", "high"];
const NOW = Date.UTC(2026, 0, 1);
const limit = fc.option(fc.integer({ min: 1, max: 20 }));
const limits = {
  requestsPerDay: limit,
  requestsPerMinute: limit,
  inputTokensMax: limit,
  outputTokensMax: limit,
  audioSecondsMax: limit,
  imagePixelsMax: limit,
  speechCharactersMax: limit,
  concurrencyMax: limit,
};

const plans = fc.record({ ...limits, tiers: fc.subarray(TIERS, { minLength: 1 }) }).map((row): Plan => {
  const rest = { sold: true, name: "Gold", priceCents: null, priority: "high" as const, trialDays: 0 };
  return { id: "gold", version: 3, ...rest, ...row };
});
const overridesOf: fc.Arbitrary<Overrides> = fc.record(limits, { requiredKeys: [] });
const models = fc
  .array(fc.constantFrom(...TIERS), { minLength: 1, maxLength: 6 })
  .map((tiers) => tiers.map((tier, index) => ({ id: `model-${index}`, aliases: [`alias-${index}`], tier })));

test("a key that is let through has no model and no request that its account has not, and all it asked for", () => {
  const asked = fc.record({
    models: fc.option(fc.array(fc.tuple(fc.constantFrom("model", "alias"), fc.nat(6)), { maxLength: 4 })),
    requestsPerDay: fc.option(fc.integer({ min: -1, max: 25 })),
  });
  const trials = fc.option(fc.integer({ min: NOW - 2, max: NOW + 2 }));
  fc.assert(
    fc.property(plans, overridesOf, models, trials, asked, (plan, overrides, catalogue, trialEndsAt, wish) => {
      const names = wish.models?.map(([kind, index]) => `${kind}-${index}`) ?? null;
      const ids = wish.models && [...new Set(wish.models.map(([, index]) => `model-${index}`))];
      const ofAccount = catalogue
        .filter(({ tier }) => plan.tiers.includes(tier) || (trialEndsAt !== null && trialEndsAt > NOW))
        .map(({ id }) => id);
      const day = overrides.requestsPerDay === undefined ? plan.requestsPerDay : overrides.requestsPerDay;
      const within =
        (ids === null || (ids.length > 0 && ids.every((id) => ofAccount.includes(id)))) &&
        (wish.requestsPerDay === null || (wish.requestsPerDay >= 1 && wish.requestsPerDay <= (day ?? 1e9)));

      let got: Narrowing | undefined;
      try {
        const narrowing = { models: names, requestsPerDay: wish.requestsPerDay };
        got = checkNarrowing(narrowing, { plan, overrides, trialEndsAt }, catalogue, NOW);
      } catch (error) {
        if (!(error instanceof AccountsError)) throw error;
        expect(error.message).not.toContain("\n");
      }
      expect(got).toEqual(within ? { models: ids, requestsPerDay: wish.requestsPerDay } : undefined);
    }),
    { numRuns: 2000 },
  );
});

test("a contract replaces the numbers it names, none of them included, and leaves the others", () => {
  fc.assert(
    fc.property(plans, overridesOf, (plan, overrides) => {
      const got = limitsOf(plan, checkOverrides(overrides));
      for (const name of LIMIT_NAMES) expect(got[name]).toBe(name in overrides ? overrides[name]! : plan[name]);
    }),
  );
});

test("a contract cannot say what no plan could", () => {
  for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    expect(() => checkOverrides({ requestsPerDay: value })).toThrow("requestsPerDay must be a whole number from 1 on");
  }
  for (const name of ["tiers", "priceCents", "requests_per_day", "constructor"]) {
    expect(() => checkOverrides({ [name]: 1 })).toThrow(
      `There is no limit called '${name}'. There are requestsPerDay,`,
    );
  }
});
