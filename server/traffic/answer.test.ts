import { expect, test } from "bun:test";
import fc from "fast-check";
import { firstDifference, readSaid } from "./answer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (delta: object, finish: string | null = null, index = 0) =>
  event({ choices: [{ index, delta, finish_reason: finish }] });

test("a stream says what the whole answer says", () => {
  const whole = readSaid(
    bytes(
      JSON.stringify({
        choices: [
          { index: 0, message: { role: "assistant", content: "Hello, 世界" }, finish_reason: "stop" },
          { index: 1, message: { role: "assistant", content: "Bye" }, finish_reason: "length" },
        ],
        usage: { prompt_tokens: 3, completion_tokens: 5 },
      }),
    ),
  );
  const stream = readSaid(
    bytes(
      [
        ": a comment\n\n",
        chunk({ role: "assistant", content: "" }),
        chunk({ content: "By" }, null, 1),
        chunk({ content: "Hello, " }),
        chunk({ content: "世界" }),
        chunk({ content: "e" }, "length", 1),
        chunk({}, "stop"),
        event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 5 } }),
        "data: [DONE]\n\n",
      ].join(""),
    ),
  );
  expect(stream).toEqual(whole);
  expect(whole).toEqual({
    text: "Hello, 世界\nBye",
    calls: "\n",
    finish: ["stop", "length"],
    whole: true,
    tokensIn: 3,
    tokensOut: 5,
  });
});

test("calls of tools are read from their pieces, and reasoning is part of the text", () => {
  const said = readSaid(
    bytes(
      [
        chunk({ reasoning_content: "Hm. " }),
        chunk({ tool_calls: [{ index: 0, function: { name: "f", arguments: "" } }] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] }, "tool_calls"),
      ].join(""),
    ),
  );
  expect([said.text, said.calls, said.finish]).toEqual(["Hm. ", 'f{"a":1}', ["tool_calls"]]);
});

test("an answer that broke off, failed, or is none is not whole", () => {
  expect(readSaid(bytes(chunk({ content: "a" }))).whole).toBe(false);
  expect(readSaid(bytes(`${chunk({ content: "a" }, "stop")}${event({ error: { message: "x" } })}`)).whole).toBe(false);
  expect(readSaid(bytes(`${chunk({ content: "a" })}data: {"choi`)).whole).toBe(false);
  for (const text of ["", "no answer", "{", "[]", "null", '{"error":{}}'])
    expect(readSaid(bytes(text)).whole).toBe(false);
});

test("texts part at the first character that is not the same", () => {
  expect(firstDifference("abc", "abc")).toBeNull();
  expect(firstDifference("abc", "abd")).toBe(2);
  expect(firstDifference("abc", "ab")).toBe(2);
  expect(firstDifference("", "x")).toBe(0);
});

test("whatever an engine sends can be read", () => {
  const keys = fc.constantFrom(
    "choices",
    "index",
    "message",
    "delta",
    "content",
    "tool_calls",
    "function",
    "usage",
    "text",
  );
  const odd = fc.constantFrom<unknown>(null, 5, "x", true, [], {}, [null], [5], [[]]);
  const part = fc.dictionary(keys, odd, { maxKeys: 4 });
  const tree = fc.oneof(
    odd,
    part,
    fc.array(fc.oneof(odd, part, fc.dictionary(keys, part, { maxKeys: 3 })), { maxLength: 3 }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(keys, tree), { maxLength: 4 }), fc.boolean(), (fields, stream) => {
      const text = JSON.stringify(Object.fromEntries(fields));
      const said = readSaid(bytes(stream ? `data: ${text}\n\n` : text));
      expect(typeof said.text).toBe("string");
      expect(typeof said.calls).toBe("string");
    }),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.uint8Array(), (any) => void readSaid(any)));
});
