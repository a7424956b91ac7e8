import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Candidate, choose } from "./choice.ts";

const BOUND = 1.25;
const candidate = fc.record({
  weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
  load: fc.nat(500),
});
const candidates = fc
  .array(candidate, { minLength: 1, maxLength: 12 })
  .map((list) => list.map((each, index): Candidate => ({ id: `e${index}`, ...each })));
const affinity = fc.option(fc.string(), { nil: null });

test("somebody is always chosen, and nobody beyond his share of the whole", () => {
  fc.assert(
    fc.property(
      candidates,
      affinity,
      fc.double({ min: 1, max: 3, noNaN: true }),
      fc.nat(),
      (list, key, bound, turn) => {
        const chosen = choose(list, key, bound, turn)!;
        expect(list).toContain(chosen);
        if (list.length === 1) return;
        const total = 1 + list.reduce((sum, { load }) => sum + load, 0);
        const share = chosen.weight / list.reduce((sum, { weight }) => sum + weight, 0);
        expect(chosen.load + 1).toBeLessThan(bound * total * share + 1);
      },
    ),
    { numRuns: 2_000 },
  );
  expect(choose([], "k", BOUND, 0)).toBeNull();
});

test("when an engine leaves, only its texts go elsewhere, and back to it when it returns", () => {
  fc.assert(
    fc.property(candidates, fc.array(fc.string(), { minLength: 1, maxLength: 30 }), fc.nat(), (list, keys, at) => {
      const idle = list.map((each) => ({ ...each, load: 0 }));
      const gone = idle[at % idle.length]!;
      const rest = idle.filter((each) => each !== gone);
      // Where the bound lets everybody in, the order alone decides.
      for (const key of keys) {
        const before = choose(idle, key, 1e9, 0)!;
        const after = choose(rest, key, 1e9, 1);
        if (before !== gone) expect(after?.id).toBe(before.id);
      }
    }),
    { numRuns: 500 },
  );
});

test("texts spread by weight", () => {
  const list = [1, 2, 5].map((weight) => ({ id: `w${weight}`, weight, load: 0 }));
  const counts = new Map<string, number>();
  const texts = 8_000;
  for (let text = 0; text < texts; text++) {
    const { id } = choose(list, `text ${text}`, 1e9, 0)!;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  for (const { id, weight } of list) {
    expect(counts.get(id)! / texts).toBeWithin((weight / 8) * 0.92, (weight / 8) * 1.08);
  }
});

test("calls that belong nowhere go to who has the least to do, and spread when all have the same", () => {
  const list = [3, 1, 2].map((load, index) => ({ id: `e${index}`, weight: 1, load }));
  for (let turn = 0; turn < 20; turn++) expect(choose(list, null, BOUND, turn)!.id).toBe("e1");
  const equal = list.map((each) => ({ ...each, load: 0 }));
  const seen = new Set(Array.from({ length: 50 }, (_, turn) => choose(equal, null, BOUND, turn)!.id));
  expect(seen.size).toBe(3);
});

test("a text that everybody sends does not fill one engine while others are idle", () => {
  const load = new Map(["a", "b", "c", "d"].map((id) => [id, 0]));
  const calls = 400;
  for (let call = 0; call < calls; call++) {
    const list = [...load].map(([id, each]) => ({ id, weight: 1, load: each }));
    const { id } = choose(list, "the same for all", BOUND, call)!;
    load.set(id, load.get(id)! + 1);
  }
  expect(Math.max(...load.values())).toBe((calls / 4) * BOUND);
});
