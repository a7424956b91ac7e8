// From text to tokens and back. Tokens are bytes before they are text: a character may be spread over several tokens, so
// answers are put together from bytes, and half a character waits for its rest.

import type { NativeVocabulary } from "./native.ts";

export interface Vocabulary {
  readonly size: number;
  readonly bos: string;
  readonly eos: string;
  /** What an empty prompt is made of: the token that begins a text, or else ends one. */
  readonly start: number;
  /** The bytes a token stands for, control tokens spelt out: `<|im_start|>`. */
  bytesOf(token: number): Uint8Array;
  isEnd(token: number): boolean;
  isControl(token: number): boolean;
  /** Tokens of a plain prompt, begun as the model wants it. Control tokens may be written: the caller is their author. */
  tokenizeText(text: string): number[];
  /**
   * Tokens of a rendered chat template: control tokens written in it become those tokens.
   *
   * @param restore puts back what `guard` took out, see there
   */
  tokenizeChat(text: string, restore: (text: string) => Iterable<PromptPart>): number[];
  /** Texts of all control tokens. */
  readonly controlTexts: string[];
  /** No token stands for more bytes than this. */
  readonly tokenBytesMax: number;
}

/** A stretch of a rendered prompt. What a user wrote may not become control tokens. */
export interface PromptPart {
  text: string;
  trusted: boolean;
}

export function createVocabulary(native: NativeVocabulary): Vocabulary {
  const spell = native.type === TYPE_BPE ? spellBpe : spellSpm;
  const table = Array.from({ length: native.size }, (_, token) => spell(native.entry(token)));
  const nameOf = (token: number | null) => (token === null ? "" : native.entry(token));
  const controlTexts = table.flatMap((_, token) => (native.isControl(token) ? [native.entry(token)] : []));

  function withBos(tokens: number[]): number[] {
    if (native.addsBos && native.bos !== null && tokens[0] !== native.bos) tokens.unshift(native.bos);
    return tokens;
  }

  return {
    size: native.size,
    bos: nameOf(native.bos),
    eos: nameOf(native.eos),
    start: native.bos ?? native.eos ?? 0,
    bytesOf: (token) => table[token] ?? NOTHING,
    isEnd: native.isEnd,
    isControl: native.isControl,
    tokenizeText: (text) => withBos([...native.tokenize(text, true)]),
    tokenizeChat(text, restore) {
      const tokens: number[] = [];
      for (const part of restore(text))
        for (const token of native.tokenize(part.text, part.trusted)) tokens.push(token);
      return withBos(tokens);
    },
    controlTexts,
    tokenBytesMax: table.reduce((longest, bytes) => Math.max(longest, bytes.length), 1),
  };
}

/** `llama_vocab_type` of llama.h: byte-pair vocabularies, whose entries spell bytes as printable characters. */
const TYPE_BPE = 2;
const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** GPT-2's spelling: each byte is a printable character; entries with other characters are meant literally. */
function spellBpe(entry: string): Uint8Array {
  const bytes = new Uint8Array(entry.length);
  for (let i = 0; i < entry.length; i++) {
    const byte = BYTE_OF_CHARACTER.get(entry.charCodeAt(i));
    if (byte === undefined) return encoder.encode(entry);
    bytes[i] = byte;
  }
  return bytes;
}

/** SentencePiece's spelling: `▁` for a space, `<0x0A>` for a single byte. */
function spellSpm(entry: string): Uint8Array {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(entry);
  if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
  return encoder.encode(entry.replaceAll("▁", " "));
}

/** Printable Latin-1 stands for itself; the other 68 bytes, in order, for the characters from 256 on. */
const BYTE_OF_CHARACTER = new Map<number, number>();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  BYTE_OF_CHARACTER.set(printable ? byte : next++, byte);
}

/** Puts bytes together to text; an unfinished character is held back until its last byte, and dropped if it never comes. */
export function createTextDecoder(): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return (bytes) => decoder.decode(bytes, { stream: true });
}

/** A token's bytes for a human reader: text, or `\xf0\x9f` where they are not whole characters. */
export function printBytes(bytes: Uint8Array): string {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  }
}
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
