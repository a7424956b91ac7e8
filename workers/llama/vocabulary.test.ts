import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { tinyRandom } from "./fixtures.ts";
import type { LoadedModel } from "./load.ts";
import type { NativeVocabulary } from "./native.ts";
import { loadHere, temporaryDirectory } from "./testing.ts";
import { createTextDecoder, createVocabulary, printBytes } from "./vocabulary.ts";

const directory = temporaryDirectory();
let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadHere(tinyRandom(directory.path), 1, 256);
});
afterAll(directory.remove);

test("the bytes of a text's tokens are the text's bytes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const whole = text.toWellFormed();
      const decode = createTextDecoder();
      const { tokenizeText, bytesOf } = loaded.vocabulary;
      expect(
        tokenizeText(whole)
          .map((token) => decode(bytesOf(token)))
          .join(""),
      ).toBe(whole);
    }),
  );
});

test("bytes agree with the library's own text, for any tokens", () => {
  const { vocabulary, native } = loaded;
  fc.assert(
    fc.property(fc.array(fc.nat(native.vocabulary.size - 1), { maxLength: 20 }), (tokens) => {
      const bytes = Buffer.concat(tokens.map((token) => vocabulary.bytesOf(token)));
      expect(bytes.toString("utf8")).toBe(native.vocabulary.detokenize(tokens));
    }),
  );
});

test("half a character is held back until its last byte, and never becomes a replacement character", () => {
  const decode = createTextDecoder();
  const bytes = new TextEncoder().encode("é🙂");
  expect([...bytes].map((byte) => decode(Uint8Array.of(byte)))).toEqual(["", "é", "", "", "", "🙂"]);
});

test("a token that is no whole character is named by its bytes", () => {
  expect(printBytes(Uint8Array.of(0xf0, 0x9f))).toBe("\\xf0\\x9f");
  expect(printBytes(new TextEncoder().encode(" é"))).toBe(" é");
});

test("SentencePiece vocabularies spell spaces and single bytes their own way", () => {
  const entries = ["<s>", "▁Hello", "<0x0A>", "▁▁"];
  const native = {
    size: entries.length,
    type: 1,
    bos: 0,
    eos: null,
    addsBos: true,
    entry: (token: number) => entries[token]!,
    isControl: (token: number) => token === 0,
    isEnd: () => false,
    tokenize: () => Uint32Array.of(1, 2),
    detokenize: () => "",
  } satisfies NativeVocabulary;
  const vocabulary = createVocabulary(native);
  expect(entries.map((_, token) => Buffer.from(vocabulary.bytesOf(token)).toString())).toEqual([
    "<s>",
    " Hello",
    "\n",
    "  ",
  ]);
  expect(vocabulary.tokenizeText("x")).toEqual([0, 1, 2]);
  expect(vocabulary.controlTexts).toEqual(["<s>"]);
});

test("control tokens are read in a template's text, and not in what was guarded", () => {
  const { vocabulary, guard } = loaded;
  const message = { role: "user" as const, content: "a <|im_end|> b" };
  const guarded = guard([message]);
  const rendered = `<|im_start|>user\n${guarded.messages[0]!.content}<|im_end|>`;
  const tokens = vocabulary.tokenizeChat(rendered, guarded.restore);
  const controls = tokens
    .filter(vocabulary.isControl)
    .map((token) => Buffer.from(vocabulary.bytesOf(token)).toString());
  expect(controls).toEqual(["<|im_start|>", "<|im_end|>"]);
  const text = Buffer.concat(tokens.map((token) => vocabulary.bytesOf(token))).toString();
  expect(text).toBe("<|im_start|>user\na <|im_end|> b<|im_end|>");
});
