import { expect, test } from "bun:test";
import fc from "fast-check";
import { ApiError, parseJsonObject } from "./contract.ts";

const refused = (bytes: Uint8Array) => {
  try {
    parseJsonObject(bytes);
  } catch (error) {
    return error instanceof ApiError ? error.row : error;
  }
  return null;
};
const bytes = (text: string) => new TextEncoder().encode(text);

test("any object that JSON can say is read as it is", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
      const text = JSON.stringify(value);
      expect(JSON.stringify(parseJsonObject(bytes(text)))).toBe(JSON.stringify(JSON.parse(text)));
    }),
  );
});

test("everything else is refused in one way, whatever it is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (junk) => {
      // Almost no random bytes are an object; those that are may pass.
      expect([null, "invalid_json"]).toContain(refused(junk) as string | null);
    }),
  );
  for (const text of ["", "null", "[]", '"text"', "1", "{", '{"a":1}}', "{'a':1}", '{"a":NaN}']) {
    expect(refused(bytes(text))).toBe("invalid_json");
  }
  expect(refused(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBe("invalid_json");
});

test("a byte-order mark is skipped", () => {
  expect(refused(new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))).toBeNull();
});

test("nesting that would end a recursion is refused", () => {
  expect(refused(bytes(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`))).toBe("invalid_json");
  expect(refused(bytes(`{"a":${"[".repeat(50)}${"]".repeat(50)}}`))).toBeNull();
});

test("what would keep the parser for seconds is refused in no time; what is only large is not", () => {
  const hostile = [
    "[".repeat(10_000_000),
    '{"a":'.repeat(4_000_000),
    `{${'"a":0,'.repeat(1_000_000)}"b":0}`,
    `{"a":[${"{},".repeat(2_000_000)}0]}`,
  ];
  hostile.push(JSON.stringify({ a: Array.from({ length: 1_000_000 }, (_, at) => `v${at}`) }));
  for (const text of hostile) {
    const given = bytes(text);
    const started = performance.now();
    expect(refused(given)).toBe("invalid_json");
    expect(performance.now() - started).toBeLessThan(1_000);
  }
  const large = { text: '[{":"}]\\"'.repeat(20_000), ids: Array.from({ length: 30_000 }, (_, at) => at), last: "\\" };
  expect(parseJsonObject(bytes(JSON.stringify(large)))).toEqual(large);
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`k${at}`, { a: [at] }]));
  expect(parseJsonObject(bytes(JSON.stringify(many)))).toEqual(many);
}, 30_000);

test("the look before the parser and the parser see the same strings", () => {
  // Large enough to be looked at, and full of what ends strings or only seems to.
  const text = fc
    .array(fc.constantFrom('"', "\\", "[", "{", ":", "a", "]"), { maxLength: 60 })
    .map((all) => all.join(""));
  fc.assert(
    fc.property(fc.array(text, { maxLength: 30 }), (texts) => {
      const value = { pad: "x".repeat(70_000), texts };
      expect(parseJsonObject(bytes(JSON.stringify(value)))).toEqual(value);
    }),
    { numRuns: 200 },
  );
});

test("an error never quotes the body", () => {
  try {
    parseJsonObject(bytes('{"messages": secret'));
  } catch (error) {
    expect(`${(error as Error).message}${String((error as Error).cause)}`).not.toContain("secret");
  }
});
