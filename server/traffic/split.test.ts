import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Split, sideOf } from "./split.ts";

const sideName = (...ask: Parameters<typeof sideOf>) => sideOf(...ask).name;

const split = (weights: number[], sticky: Split["sticky"] = "account"): Split => ({
  model: "m",
  sticky,
  targets: weights.map((weight, index) => ({ model: `side-${index}`, weight })),
});
const accounts = Array.from({ length: 4_000 }, (_, index) => `acct_${index}`);

test("shares come to what the weights say, for any weights", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.05, max: 20, noNaN: true }), { minLength: 2, maxLength: 6 }), (weights) => {
      const one = split(weights);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = new Map<string, number>();
      for (const id of accounts) {
        const side = sideName(one, id, {});
        counts.set(side, (counts.get(side) ?? 0) + 1);
      }
      for (const [index, weight] of weights.entries()) {
        const share = weight / total;
        // Five standard deviations of a fair draw.
        const slack = 5 * Math.sqrt((share * (1 - share)) / accounts.length) + 1 / accounts.length;
        expect(Math.abs((counts.get(`side-${index}`) ?? 0) / accounts.length - share)).toBeLessThan(slack);
      }
    }),
    { numRuns: 60 },
  );
});

test("an account stays on its side, whatever it sends, and in whatever order the sides are written", () => {
  fc.assert(
    fc.property(fc.string(), fc.object(), fc.object(), (account, one, other) => {
      const two = split([1, 3, 2]);
      const turned = { ...two, targets: two.targets.toReversed() };
      expect(sideName(two, account, one)).toBe(sideName(turned, account, other));
    }),
  );
});

test("a change of the weights moves only those that it must, and only towards who has more", () => {
  const before = split([90, 10]);
  const after = split([80, 20]);
  const moved = accounts.filter((id) => sideName(before, id, {}) !== sideName(after, id, {}));
  expect(moved.length / accounts.length).toBeGreaterThan(0.06);
  expect(moved.length / accounts.length).toBeLessThan(0.14);
  for (const id of moved) expect(sideName(after, id, {})).toBe("side-1");
});

test("users and conversations have sides of their own where the split goes by them", () => {
  const byUser = split([1, 1], "user");
  const sides = (split: Split, bodies: Record<string, unknown>[]) =>
    new Set(bodies.map((body) => sideName(split, "acct_1", body))).size;
  const users = Array.from({ length: 50 }, (_, index) => ({ user: `u${index}` }));
  expect(sides(byUser, users)).toBe(2);
  expect(sides(split([1, 1]), users)).toBe(1);
  expect(sides(byUser, [{ user: "a" }, { user: "a", prompt_cache_key: "b" }, { safety_identifier: "a" }])).toBe(1);
  const byKey = split([1, 1], "prompt_cache_key");
  expect(sides(byKey, users)).toBe(1);
  expect(
    sides(
      byKey,
      users.map(({ user }) => ({ prompt_cache_key: user })),
    ),
  ).toBe(2);
});
