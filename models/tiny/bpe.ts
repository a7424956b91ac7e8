// Byte-level byte-pair encoding as GPT-2 does it (Radford et al. 2019, section 2.2) and llama.cpp repeats it
// (`tokenizer.ggml.pre = "gpt-2"`): trains a vocabulary on a text, encodes and decodes with it.

export interface Vocabulary {
  /** Token texts by id, bytes shown as GPT-2's printable stand-ins; special tokens as they are. */
  tokens: string[];
  /** Pairs `left right` in the order they were learnt, which is the order they are applied. */
  merges: string[];
  /** Tokens that are matched in a text as a whole, before any splitting. They are in `tokens` too. */
  specials: string[];
}

/**
 * The 256 bytes, then the most frequent pairs of `text`, merged until `sizeMax` tokens or until every word is one token;
 * then `specials`. Equal counts go to the pair seen first, so the result depends on the arguments alone.
 */
export function trainVocabulary(text: string, sizeMax: number, specials: string[]): Vocabulary {
  const words = new Map<string, { count: number; pieces: string[] }>();
  for (const word of splitWords(text)) {
    const known = words.get(word);
    if (known) known.count++;
    else words.set(word, { count: 1, pieces: [...toPrintable(word)] });
  }
  const tokens = [...PRINTABLE];
  const merges: string[] = [];
  while (tokens.length + specials.length < sizeMax) {
    const counts = new Map<string, number>();
    for (const { count, pieces } of words.values())
      for (let i = 1; i < pieces.length; i++) {
        const pair = `${pieces[i - 1]} ${pieces[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    let best: string | undefined;
    for (const [pair, count] of counts) if (best === undefined || count > counts.get(best)!) best = pair;
    if (best === undefined) break;
    const [left, right] = best.split(" ") as [string, string];
    merges.push(best);
    if (!tokens.includes(left + right)) tokens.push(left + right); // two pairs may spell one token
    for (const word of words.values()) word.pieces = join(word.pieces, left, right);
  }
  return { tokens: [...tokens, ...specials], merges, specials };
}

export interface Tokenizer {
  encode(text: string): number[];
  /** Bytes that are not UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string;
  /** The id of one token, given as plain text. @throws RangeError when it is not in the vocabulary */
  id(text: string): number;
}

export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  const ids = new Map(vocabulary.tokens.map((token, id) => [token, id]));
  const ranks = new Map(vocabulary.merges.map((pair, rank) => [pair, rank]));
  const specials = new Set(vocabulary.specials);
  const known = new Map<string, number[]>();

  const encodeWord = (word: string): number[] => {
    let encoded = known.get(word);
    if (!encoded) {
      let pieces = [...toPrintable(word)];
      for (;;) {
        let best = Number.POSITIVE_INFINITY;
        for (let i = 1; i < pieces.length; i++)
          best = Math.min(best, ranks.get(`${pieces[i - 1]} ${pieces[i]}`) ?? Number.POSITIVE_INFINITY);
        if (best === Number.POSITIVE_INFINITY) break;
        const [left, right] = vocabulary.merges[best]!.split(" ") as [string, string];
        pieces = join(pieces, left, right);
      }
      encoded = pieces.map((piece) => ids.get(piece)!);
      known.set(word, encoded);
    }
    return encoded;
  };

  return {
    encode: (text) =>
      splitSpecials(text, vocabulary.specials).flatMap((part) =>
        specials.has(part) ? [ids.get(part)!] : splitWords(part).flatMap(encodeWord),
      ),
    decode: (tokens) =>
      new TextDecoder("utf-8", { ignoreBOM: true }).decode(
        Uint8Array.from(
          tokens.flatMap((id) => {
            const token = vocabulary.tokens[id]!;
            return specials.has(token) ? [...new TextEncoder().encode(token)] : [...token].map((c) => BYTE_OF.get(c)!);
          }),
        ),
      ),
    id: (text) => {
      const id = ids.get(specials.has(text) ? text : toPrintable(text));
      if (id === undefined) throw new RangeError(`${JSON.stringify(text)} is not one token of the vocabulary`);
      return id;
    },
  };
}

/** A text as the vocabulary spells it: one printable character for each of its UTF-8 bytes. */
export function toPrintable(text: string): string {
  let printable = "";
  for (const byte of new TextEncoder().encode(text)) printable += PRINTABLE[byte];
  return printable;
}

/** GPT-2's stand-ins: printable Latin-1 bytes are themselves, the rest are U+0100 and up in order. Indexed by byte. */
const PRINTABLE: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
})();
const BYTE_OF = new Map(PRINTABLE.map((character, byte) => [character, byte]));

/** GPT-2's split, which llama.cpp repeats: merges never cross these borders. */
function splitWords(text: string): string[] {
  return text.match(/'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu) ?? [];
}

function splitSpecials(text: string, specials: string[]): string[] {
  if (specials.length === 0) return [text];
  const pattern = specials.map((special) => special.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  return text.split(new RegExp(`(${pattern})`, "u")).filter((part) => part !== "");
}

function join(pieces: string[], left: string, right: string): string[] {
  const joined: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      joined.push(left + right);
      i++;
    } else joined.push(pieces[i]!);
  }
  return joined;
}
