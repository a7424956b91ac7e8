import { expect, test } from "bun:test";
import fc from "fast-check";
import { createChannelReader } from "./channels.ts";
import { familyOf } from "./families.ts";
import { TEMPLATES } from "./fixtures.ts";
import { type OutputPiece, type OutputReader, Pieces } from "./pieces.ts";
import { createMarkerReader } from "./reader.ts";

const NAMES = ["get_weather", "get"];

function readerOf(template: keyof typeof TEMPLATES, options: { opened?: boolean; tools?: boolean } = {}): OutputReader {
  const family = familyOf(TEMPLATES[template]);
  if (family.channels) return createChannelReader(NAMES);
  const calls = options.tools === false ? null : { syntax: family.calls, names: NAMES };
  return createMarkerReader({ thinking: family.thinking, opened: options.opened ?? false, calls });
}

/** `r:` reasoning, `c:` content, `call:` and its arguments. */
function read(reader: OutputReader, parts: string[]): string[] {
  const pieces = new Pieces();
  const take = (piece: OutputPiece) => {
    if (piece.kind === "call") return pieces.call(piece.name);
    // No piece ends or begins within a character.
    expect(piece.text).toBe(piece.text.toWellFormed());
    expect(piece.text).not.toBe("");
    pieces.add(piece.kind, piece.text);
  };
  for (const part of parts) for (const piece of reader.push(part)) take(piece);
  for (const piece of reader.end()) take(piece);
  const signs = { content: "c", reasoning: "r", arguments: "a" };
  return pieces.list.map((piece) =>
    piece.kind === "call" ? `call:${piece.name}` : `${signs[piece.kind]}:${piece.text}`,
  );
}

const RECORDINGS: [string, keyof typeof TEMPLATES, string, string[], { opened?: boolean; tools?: boolean }?][] = [
  ["plain text", "TAGGED", "Hello 😀!", ["c:Hello 😀!"]],
  ["text with a sign that begins no marker", "TAGGED", "a < b <tool> 1", ["c:a < b <tool> 1"]],
  ["text that ends like a marker", "TAGGED", "see <tool_c", ["c:see <tool_c"]],
  [
    "text, then two calls",
    "TAGGED",
    'I will look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo \\"}😀", "n": [1]}}\n</tool_call>\n<tool_call>{"name":"get","arguments":{}}</tool_call>',
    ["c:I will look.", "call:get_weather", 'a:{"city": "Oslo \\"}😀", "n": [1]}', "call:get", "a:{}"],
  ],
  [
    "reasoning, then a call",
    "TAGGED",
    '<think>\nHm, <tool_call>?\n</think>\n\n<tool_call>\n{"name": "get", "arguments": {}}\n</tool_call>',
    ["r:Hm, <tool_call>?", "call:get", "a:{}"],
  ],
  ["reasoning, then text", "TAGGED", "<think>\nSo, so.\n</think>\n\nHello.\n", ["r:So, so.", "c:Hello.\n"]],
  ["reasoning that the prompt opened", "OPENED", "So.\n</think>\nHello.", ["r:So.", "c:Hello."], { opened: true }],
  ["reasoning that never ends", "OPENED", "So and\nso </thi", ["r:So and\nso </thi"], { opened: true }],
  ["empty reasoning", "TAGGED", "<think>\n\n</think>\n\nHello.", ["c:Hello."]],
  ["a tag in the middle is text", "TAGGED", "The <think> tag", ["c:The <think> tag"]],
  [
    "a call cut off in its arguments",
    "TAGGED",
    '<tool_call>{"name": "get", "arguments": {"a": ',
    ["call:get", 'a:{"a": '],
  ],
  ["a call cut off before its name", "TAGGED", 'Yes <tool_call>{"na', ["c:Yes"]],
  ["a marker that begins no call", "TAGGED", "<tool_call>nothing", ["c:<tool_call>nothing"]],
  ["a call when no tools were offered", "TAGGED", '<tool_call>{"name"', ['c:<tool_call>{"name"'], { tools: false }],
  [
    "calls in brackets",
    "BRACKETED",
    '[TOOL_CALLS][{"name": "get", "arguments": {"a": "]"}}, {"name": "get_weather", "arguments": {}}]',
    ["call:get", 'a:{"a": "]"}', "call:get_weather", "a:{}"],
  ],
  [
    "names in brackets",
    "BRACKETED_NAMES",
    'Ok[TOOL_CALLS]get[ARGS]{"a": 1}[TOOL_CALLS]get_weather[ARGS]{}',
    ["c:Ok", "call:get", 'a:{"a": 1}', "call:get_weather", "a:{}"],
  ],
  ["ids in brackets", "BRACKETED_IDS", "[TOOL_CALLS]get[CALL_ID]a1b2c3d4e[ARGS]{}", ["call:get", "a:{}"]],
  ["a bare call", "BARE", '{"name": "get", "parameters": {"x": {}}}', ["call:get", 'a:{"x": {}}']],
  ["bare text", "BARE", 'Use {"name": "get"}.', ['c:Use {"name": "get"}.']],
  ["bare JSON that is no call", "BARE", '{"name": "nobody"}', ['c:{"name": "nobody"}']],
  [
    "fenced calls",
    "FENCED",
    'Hm</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get\n```json\n{"a":1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    ["r:Hm", "call:get", 'a:{"a":1}', "call:get_weather", "a:{}"],
    { opened: true },
  ],
  [
    "separated calls",
    "SEPARATED",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ["call:get", "a:{}"],
  ],
  [
    "channels, to the answer",
    "CHANNELS",
    "<|channel|>analysis<|message|>Hm < 3.<|end|><|start|>assistant<|channel|>final<|message|>Hello 😀",
    ["r:Hm < 3.", "c:Hello 😀"],
  ],
  [
    "channels, to a call",
    "CHANNELS",
    '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get <|constrain|>json<|message|>{"a":1}<|call|>',
    ["r:Hm.", "call:get", 'a:{"a":1}'],
  ],
  [
    "channels, the address first",
    "CHANNELS",
    "<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{}",
    ["call:get_weather", "a:{}"],
  ],
  ["channels, cut off in a header", "CHANNELS", "<|channel|>ana", []],
  ["channels, not used", "CHANNELS", "Hello there.", ["c:Hello there."]],
];

for (const [name, template, text, expected, options] of RECORDINGS) {
  test(`${name} (${template})`, () => {
    expect(read(readerOf(template, options), [text])).toEqual(expected);
    // Every single character on its own, and random chunks, halves of characters included.
    expect(read(readerOf(template, options), text.split(""))).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (borders) => {
        const sorted = [0, ...borders.sort((a, b) => a - b), text.length];
        const parts = sorted.slice(1).map((border, index) => text.slice(sorted[index], border));
        expect(read(readerOf(template, options), parts)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
}

test("content and arguments go out as soon as they are certain", () => {
  const reader = readerOf("TAGGED");
  expect(reader.push("Hello")).toEqual([{ kind: "content", text: "Hello" }]);
  expect(reader.push(" wor")).toEqual([{ kind: "content", text: " wor" }]);
  expect(reader.push("ld <tool_call>")).toEqual([{ kind: "content", text: "ld" }]);
  expect(reader.push('\n{"name": "get", "arguments": {"a"')).toEqual([
    { kind: "call", name: "get" },
    { kind: "arguments", text: '{"a"' },
  ]);
  expect(reader.push(": 1}}")).toEqual([{ kind: "arguments", text: ": 1}" }]);
});

test("any text at all is read without loss when there is nothing to find in it", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (parts) => {
      const text = parts.join("");
      fc.pre(!/<|\[|\{/.test(text) && text.trim() !== "");
      expect(read(readerOf("TAGGED"), parts)).toEqual([`c:${text}`]);
    }),
  );
});
