// Makes up a string for a regular expression: alternatives, groups, classes, escapes and counts. What looks around or
// back is beyond it.

import type { Random } from "./random.ts";

/**
 * A string that the pattern matches somewhere, or null when it uses what this generator does not know. Patterns are not
 * anchored in JSON Schema; the string made is matched as a whole.
 *
 * @param lengthMin open-ended counts (`+`, `*`, `{2,}`) repeat enough to reach about this many characters
 */
export function samplePattern(pattern: string, random: Random, lengthMin = 0): string | null {
  try {
    const parser = createParser(pattern);
    const node = parser.alternatives();
    return parser.atEnd() ? node(random, lengthMin) : null;
  } catch (error) {
    if (error instanceof Unknown) return null;
    throw error;
  }
}

type Maker = (random: Random, lengthMin: number) => string;
class Unknown extends Error {}

/** Counts above this are not for answers. */
const REPEATS_MAX = 5000;

function createParser(pattern: string) {
  let at = 0;
  const atEnd = () => at >= pattern.length;
  const eat = (text: string) => {
    if (!pattern.startsWith(text, at)) return false;
    at += text.length;
    return true;
  };
  const next = () => {
    const character = String.fromCodePoint(pattern.codePointAt(at) ?? fail());
    at += character.length;
    return character;
  };

  function alternatives(): Maker {
    const branches = [sequence()];
    while (eat("|")) branches.push(sequence());
    return (random, lengthMin) => random.pick(branches)(random, lengthMin);
  }

  function sequence(): Maker {
    const parts: Maker[] = [];
    while (!atEnd() && pattern[at] !== "|" && pattern[at] !== ")") {
      if (eat("^") || eat("$")) continue;
      parts.push(counted(atom()));
    }
    return (random, lengthMin) => parts.reduce((text, part) => text + part(random, lengthMin), "");
  }

  function atom(): Maker {
    if (eat("(")) return group();
    if (eat("[")) return oneOf(charClass());
    if (eat(".")) return oneOf(LETTERS);
    if (eat("\\")) return oneOf(escaped());
    if ("*+?{".includes(pattern[at]!)) fail();
    return oneOf([next()]);
  }

  function group(): Maker {
    if (eat("?")) {
      if (!eat(":") && !/^<[A-Za-z_]\w*>/.test(pattern.slice(at))) fail();
      if (eat("<")) while (next() !== ">");
    }
    const inner = alternatives();
    if (!eat(")")) fail();
    return inner;
  }

  /** Characters that an escape stands for. */
  function escaped(): string[] {
    const letter = next();
    const found = CLASSES[letter];
    if (found) return found;
    if (letter in CONTROLS) return [CONTROLS[letter]!];
    if (letter === "x" || letter === "u") {
      const digits =
        new RegExp(letter === "x" ? "^[\\da-fA-F]{2}" : "^[\\da-fA-F]{4}").exec(pattern.slice(at))?.[0] ?? fail();
      at += digits.length;
      return [String.fromCharCode(Number.parseInt(digits, 16))];
    }
    // \b, \1, \p{…} and the like.
    if (/[A-Za-z\d]/.test(letter)) fail();
    return [letter];
  }

  function charClass(): string[] {
    const negated = eat("^");
    const characters = new Set<string>();
    while (!eat("]")) {
      if (atEnd()) fail();
      const from = eat("\\") ? escaped() : [next()];
      const isRange = from.length === 1 && pattern[at] === "-" && pattern[at + 1] !== "]" && eat("-");
      if (!isRange) {
        for (const each of from) characters.add(each);
        continue;
      }
      const to = eat("\\") ? escaped() : [next()];
      const [first, last] = [from[0]!.codePointAt(0)!, to[0]!.codePointAt(0)!];
      for (let code = first; code <= Math.min(last, first + 255); code++) characters.add(String.fromCodePoint(code));
    }
    return negated ? ASCII.filter((each) => !characters.has(each)) : [...characters];
  }

  function counted(inner: Maker): Maker {
    const [least, most] = counts();
    eat("?");
    return (random, lengthMin) => {
      const usual = most === Number.POSITIVE_INFINITY ? Math.max(least + random.below(4), lengthMin) : most;
      const count = usual > least ? least + random.below(usual - least + 1) : least;
      const wanted = most === Number.POSITIVE_INFINITY ? Math.max(count, lengthMin) : count;
      if (wanted > REPEATS_MAX) throw new Unknown();
      let text = "";
      for (let repeat = 0; repeat < wanted; repeat++) text += inner(random, 0);
      return text;
    };
  }

  function counts(): [number, number] {
    if (eat("*")) return [0, Number.POSITIVE_INFINITY];
    if (eat("+")) return [1, Number.POSITIVE_INFINITY];
    if (eat("?")) return [0, 1];
    const braces = /^\{(\d+)(,(\d*))?\}/.exec(pattern.slice(at));
    if (!braces) return [1, 1];
    at += braces[0].length;
    const least = Number(braces[1]);
    if (braces[2] === undefined) return [least, least];
    return [least, braces[3] === "" ? Number.POSITIVE_INFINITY : Number(braces[3])];
  }

  return { alternatives, atEnd };
}

function fail(): never {
  throw new Unknown();
}

function oneOf(characters: string[]): Maker {
  if (characters.length === 0) fail();
  return (random) => random.pick(characters);
}

const range = (from: string, to: string) =>
  Array.from({ length: to.charCodeAt(0) - from.charCodeAt(0) + 1 }, (_, at) =>
    String.fromCharCode(from.charCodeAt(0) + at),
  );
const ASCII = range(" ", "~");
const LETTERS = range("a", "z");
const DIGITS = range("0", "9");
const WORD = [...LETTERS, ...range("A", "Z"), ...DIGITS, "_"];
const CLASSES: Record<string, string[]> = {
  d: DIGITS,
  D: ASCII.filter((each) => !DIGITS.includes(each)),
  w: WORD,
  W: ASCII.filter((each) => !WORD.includes(each)),
  s: [" "],
  S: ASCII.slice(1),
};
const CONTROLS: Record<string, string> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", "0": "\0" };
