import { expect, test } from "bun:test";
import fc from "fast-check";
import { maskKey, newKey, readKey } from "./key.ts";

/** Any bytes a source of chance could give. */
const keys = fc
  .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.uint8Array({ minLength: 32, maxLength: 32 }))
  .map(([id, secret]) => newKey((bytes) => (bytes === 16 ? id : secret)));

test("a key has its prefix, an id, 43 characters of secret and a checksum, and gives its id back", () => {
  fc.assert(
    fc.property(keys, ({ id, key }) => {
      expect(key).toMatch(/^ox_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}$/);
      expect(key).toHaveLength(66);
      expect(readKey(key)).toEqual({ id });
    }),
  );
});

test("different secrets make different keys", () => {
  const secrets = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const keyOf = (secret: Uint8Array) => newKey((bytes) => (bytes === 16 ? new Uint8Array(16) : secret)).key;
  fc.assert(fc.property(secrets, secrets, (a, b) => Buffer.compare(a, b) === 0 || keyOf(a) !== keyOf(b)));
  const all = [0, 1, 255].map((byte) => keyOf(new Uint8Array(32).fill(byte)));
  expect(new Set(all).size).toBe(3);
});

test("no key with one character changed is a possible key", () => {
  const characters = fc.oneof(fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), fc.constantFrom(..."0aAzZ_9"));
  fc.assert(
    fc.property(keys, fc.nat(65), characters, ({ key }, at, character) => {
      fc.pre(key[at] !== character);
      const changed = key.slice(0, at) + character + key.slice(at + 1);
      // Without the prefix it may be a key that the operator chose: only the database can tell.
      expect(readKey(changed)).toBe(at < "ox_live_".length ? "foreign" : "misspelled");
    }),
    { numRuns: 2000 },
  );
});

test("nor is one with two neighbours swapped, a character lost, doubled or added", () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 8, max: 64 }), ({ key }, at) => {
      const swapped = key.slice(0, at) + key[at + 1] + key[at] + key.slice(at + 2);
      if (swapped !== key) expect(readKey(swapped)).toBe("misspelled");
      expect(readKey(key.slice(0, at) + key.slice(at + 1))).toBe("misspelled");
      expect(readKey(key.slice(0, at) + key[at] + key.slice(at))).toBe("misspelled");
      expect(readKey(`${key}0`)).toBe("misspelled");
      expect(readKey(`${key}\n`)).toBe("misspelled");
    }),
  );
});

test("a mask shows which key it is and none of its secret", () => {
  const { id, key } = newKey();
  expect(maskKey(key)).toBe(`ox_live_${id.slice(0, 2)}…****`);
  expect(maskKey("sk-proj-0123456789abcdef")).toBe("sk-…****");
  expect(maskKey("hunter2")).toBe("****");
  fc.assert(fc.property(fc.string({ minLength: 5 }), (text) => !maskKey(text).includes(text)));
});
