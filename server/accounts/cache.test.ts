import { expect, test } from "bun:test";
import fc from "fast-check";
import { createCache } from "./cache.ts";

test("it never says anything but what was last set, and keeps what was asked for lately", () => {
  const commands = fc.array(fc.tuple(fc.constantFrom("get", "set"), fc.nat(30)), { maxLength: 200 });
  fc.assert(
    fc.property(commands, (list) => {
      const cache = createCache<number>(8);
      const model = new Map<string, number>();
      let recent: string[] = [];
      for (const [index, [what, number]] of list.entries()) {
        const key = String(number);
        if (what === "set") {
          cache.set(key, index);
          model.set(key, index);
        } else {
          const value = cache.get(key);
          if (value !== undefined) expect(value).toBe(model.get(key)!);
          if (recent.includes(key)) expect(value).toBe(model.get(key)!);
          if (value === undefined) continue; // a miss touches nothing
        }
        // The last four different keys, half of the bound.
        recent = [key, ...recent.filter((each) => each !== key)].slice(0, 4);
      }
    }),
  );
});

test("it holds no more than it may", () => {
  const cache = createCache<number>(100);
  for (let index = 0; index < 10_000; index++) cache.set(String(index), index);
  let held = 0;
  for (let index = 0; index < 10_000; index++) if (cache.get(String(index)) !== undefined) held++;
  expect(held).toBeLessThanOrEqual(100);
  expect(cache.get("9999")).toBe(9999);
  cache.clear();
  expect(cache.get("9999")).toBeUndefined();
});
