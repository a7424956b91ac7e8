// Bodies that are wrong in every way that parsers have been wrong about: shapes of JSON, encodings, depth, and values of
// the wrong type at every place of a call.

/** Not JSON, though some parsers take them. After the classes of parser tests: structure, numbers, strings, encodings. */
export const NOT_JSON: string[] = [
  ...[
    "",
    " ",
    "\n",
    "\u0000",
    "{",
    "}",
    "[",
    "]",
    "{]",
    "[}",
    ",",
    ":",
    '"',
    "'",
    "nul",
    "nulll",
    "tru",
    "True",
    "NaN",
  ],
  ...[
    "Infinity",
    "-Infinity",
    "undefined",
    "None",
    "-",
    "+",
    "+1",
    ".5",
    "5.",
    "01",
    "-01",
    "1e",
    "1e+",
    "1.e1",
    "0x10",
  ],
  ...["0b1", "1_000", "1 000", "--1", "1-", "١", "1,", "{}{}", "{} x", "{},", "[],", "[1,]", "[,1]", "[1 2]", "[1,,2]"],
  ...['{"a"}', '{"a":}', '{"a" 1}', '{"a"::1}', "{:1}", '{"a":1,}', '{,"a":1}', '{"a":1 "b":2}', '{"a":1,,"b":2}'],
  ...["{a:1}", "{'a':1}", "{\"a\":'1'}", "{1:1}", "{null:1}", "{[]:1}", '{"a":1]', '["a":1]', '{"a":(1)}', "(1)"],
  ...['"unterminated', '{"a":"b}', '{"a":"\n"}', '{"a":"\t"}', '{"a":"\u0000"}', '{"a":"\u001f"}', '"\\"', '"\\x41"'],
  ...['"\\u"', '"\\u12"', '"\\u12G4"', '"\\U0041"', '"\\\u0000"', '"\\a"', "\\u007b\\u007d", '{"a":"\\'],
  ...[
    "// comment\n{}",
    "{} // comment",
    "/* comment */{}",
    "{}#",
    "<a></a>",
    "<?xml?>",
    "a=1&b=2",
    "model=x",
    "---\na: 1",
  ],
  ...["\u00A0{}", "\u2028{}", "{}\u00A0", "\u000B{}", "\f{}", "{}\u0000", "\uFEFF", "\uFEFF\uFEFF{}", "{}\uFEFF"],
  ...['{"a":1', '{"a":[1', '{"a":{"b":', "[".repeat(50), "{".repeat(50), '{"a":'.repeat(50), "]".repeat(50)],
];

/** JSON, but no object. */
export const NO_OBJECT: string[] = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "1e400",
  "1.5",
  '""',
  '"{}"',
  "[]",
  "[{}]",
  "[[]]",
];

/** Objects that are JSON and no call, or a call with something odd in it. They may be answered or refused. */
export const ODD_OBJECTS: string[] = [
  "{}",
  ' \r\n\t{ \r\n\t"a" : 1 } ',
  "\uFEFF{}",
  '{"":0}',
  '{"a":1,"a":2}',
  '{"model":1,"model":"x","messages":0}',
  '{"__proto__":{"model":"x"}}',
  '{"constructor":{"prototype":{}},"toString":1,"hasOwnProperty":2}',
  '{"a":1e400}',
  '{"a":-1e400,"b":1e-400}',
  `{"a":${"9".repeat(400)}}`,
  `{"a":0.${"1".repeat(5_000)}}`,
  '{"a":"\\ud800"}',
  '{"a":"\\udc00\\ud800"}',
  '{"a":"\\u0000"}',
  '{"\\ud800":1}',
  '{"a":"\u007f\u0080\u2028\u2029\ufffe\uffff"}',
  `{"${"k".repeat(100_000)}":1}`,
  `{${Array.from({ length: 20_000 }, (_, at) => `"k${at}":0`).join(",")}}`,
  `{"a":[${"0,".repeat(100_000)}0]}`,
];

/** Bytes that are not UTF-8, or another encoding. */
export const NOT_UTF8: Buffer[] = [
  Buffer.from([0xff]),
  Buffer.from([0x7b, 0xff, 0x7d]),
  ...["80", "c0af", "c3", "e28", "e282", "eda080", "f0288cbc", "f4908080", "f8888080", "fe", "c328", "fffe"].map(
    (hex) =>
      Buffer.concat([
        Buffer.from('{"a":"'),
        Buffer.from(hex.padEnd(hex.length + (hex.length % 2), "0"), "hex"),
        Buffer.from('"}'),
      ]),
  ),
  Buffer.from('{"a":1}', "utf16le"),
  Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('{"a":1}', "utf16le")]),
  Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from('{"a":1}', "utf16le").swap16()]),
  Buffer.from('{"a":"é"}', "latin1"),
  Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0]),
];

export const DEEP: string[] = [
  "[".repeat(100_000),
  `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
  `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  `{"messages":[{"role":"user","content":${"[".repeat(100_000)}${"]".repeat(100_000)}}]}`,
  `{"tools":${'[{"function":{"parameters":{"properties":{"a":'.repeat(500)}1${"}}}}]".repeat(500)}}`,
];

/** One of each type, and of each that is easily taken for another. */
export const WRONG_VALUES: unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e21, 2 ** 53, "", "x", "null", "1", " ", "\u0000", "\ud800"],
  ...[[], [null], [[]], [{}], ["x"], [0], {}, { "": null }, { type: "x" }, { type: null }, { type: "function" }],
  { role: "user" },
];

/** Every path into a value: keys and indexes. */
export function* pathsOf(value: unknown, at: (string | number)[] = []): Generator<(string | number)[]> {
  if (at.length > 0) yield at;
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value))
    yield* pathsOf(inner, [...at, Array.isArray(value) ? Number(key) : key]);
}

/** A copy of `value` with something else at `path`. */
export function withValueAt(value: unknown, [key, ...rest]: (string | number)[], replacement: unknown): unknown {
  if (key === undefined) return replacement;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  const inner = copy as Record<string | number, unknown>;
  inner[key] = withValueAt(inner[key], rest, replacement);
  return copy;
}

/** `messages[0].content`, as errors name it. */
export function nameOf(path: (string | number)[]): string {
  return path.map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${key}`)).join("");
}
