// The simulator's own tokenizer. Its vocabulary is fixed and computed, not stored: every Unicode code point, pieces of
// up to four letters or three digits with or without a space before them, and runs of spaces. English comes to about
// four characters a token, and the texts of the tokens, joined, are the text itself.

/** Ids below are code points; the surrogates among them name no character and mark where messages begin and end. */
const WORDS = 0x110000;
const LETTERS_MAX = 4;
const WORDS_PER_SHAPE = 27 ** LETTERS_MAX;
const NUMBERS = WORDS + 4 * WORDS_PER_SHAPE;
const DIGITS_MAX = 3;
const NUMBERS_PER_SHAPE = 11 ** DIGITS_MAX;
const SPACES = NUMBERS + 2 * NUMBERS_PER_SHAPE;
const SPACES_MAX = 16;

/** How many token ids there are: ids run from 0 to one below. */
export const VOCABULARY_SIZE = SPACES + SPACES_MAX + 1;

/** Ids that stand for no text; `encode` never gives them. */
export const MARK = {
  system: 0xd800,
  user: 0xd801,
  assistant: 0xd802,
  tool: 0xd803,
  end: 0xd804,
  image: 0xd805,
} as const;

/** Token ids of a text. A lone surrogate counts as U+FFFD: give well-formed text where decoding must return it exactly. */
export function encode(text: string, into: number[] = []): number[] {
  for (let at = 0; at < text.length; ) {
    const end = pieceEnd(text, at);
    into.push(idOf(text, at, end));
    at = end;
  }
  return into;
}

/** The text of one token; empty for marks and for ids that no text encodes to. */
export function decode(id: number): string {
  if (id < WORDS) return id >= 0xd800 && id <= 0xdfff ? "" : String.fromCodePoint(id);
  if (id >= SPACES) return " ".repeat(id - SPACES);
  const isWord = id < NUMBERS;
  const shapeSize = isWord ? WORDS_PER_SHAPE : NUMBERS_PER_SHAPE;
  const base = isWord ? 27 : 11;
  const offset = id - (isWord ? WORDS : NUMBERS);
  const shape = Math.floor(offset / shapeSize);
  let letters = "";
  for (let rest = offset % shapeSize; rest > 0; rest = Math.floor(rest / base)) {
    const digit = rest % base;
    if (digit > 0) letters = String.fromCharCode(digit - 1 + (isWord ? 0x61 : 0x30)) + letters;
  }
  if (isWord && shape & 1) letters = letters.charAt(0).toUpperCase() + letters.slice(1);
  return (shape >= (isWord ? 2 : 1) ? " " : "") + letters;
}

export function isToken(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < VOCABULARY_SIZE;
}

const SPACE = 0x20;
const isLower = (code: number) => code >= 0x61 && code <= 0x7a;
const isUpper = (code: number) => code >= 0x41 && code <= 0x5a;
const isDigit = (code: number) => code >= 0x30 && code <= 0x39;

function pieceEnd(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code !== SPACE) return wordEnd(text, at);
  let end = at + 1;
  while (text.charCodeAt(end) === SPACE && end - at < SPACES_MAX) end++;
  const next = text.charCodeAt(end);
  if (!isLower(next) && !isUpper(next) && !isDigit(next)) return end;
  // The last space belongs to the word that follows it.
  return end - at === 1 ? wordEnd(text, end) : end - 1;
}

/** End of the piece that begins, without a space, at `at`. */
function wordEnd(text: string, at: number): number {
  const code = text.charCodeAt(at);
  let end = at + 1;
  if (isLower(code) || isUpper(code)) {
    while (end - at < LETTERS_MAX && isLower(text.charCodeAt(end))) end++;
  } else if (isDigit(code)) {
    while (end - at < DIGITS_MAX && isDigit(text.charCodeAt(end))) end++;
  } else if (text.codePointAt(at)! > 0xffff) {
    end++;
  }
  return end;
}

function idOf(text: string, at: number, end: number): number {
  const code = text.codePointAt(at)!;
  if (end - at === 1 || code > 0xffff) return code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
  const spaced = code === SPACE;
  const start = spaced ? at + 1 : at;
  const first = text.charCodeAt(start);
  if (first === SPACE) return SPACES + (end - at);
  const digits = isDigit(first);
  let value = 0;
  for (let index = start; index < end; index++) {
    const unit = text.charCodeAt(index);
    value = digits ? value * 11 + unit - 0x2f : value * 27 + (unit | 0x20) - 0x60;
  }
  if (digits) return NUMBERS + (spaced ? NUMBERS_PER_SHAPE : 0) + value;
  return WORDS + ((spaced ? 2 : 0) + (isUpper(first) ? 1 : 0)) * WORDS_PER_SHAPE + value;
}
