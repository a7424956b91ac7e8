// Regular expressions of JSON Schema's `pattern` as syntax trees. What is not regular in the mathematical sense (back
// references, look-around) is refused.
// Source: ECMA-262 15th edition, Patterns, with the u flag, as JSON Schema 2020-12 §6.4 recommends, read 2026-11-21.

import { ANY_CHAR, type CharSet, charSet, complement, union } from "./charset.ts";

export type Regex =
  | { kind: "set"; set: CharSet }
  | { kind: "seq"; items: Regex[] }
  | { kind: "alt"; options: Regex[] }
  | { kind: "repeat"; item: Regex; min: number; max: number };

const ANYTHING: Regex = { kind: "repeat", item: { kind: "set", set: ANY_CHAR }, min: 0, max: Number.POSITIVE_INFINITY };

/** Thrown for a pattern that we cannot turn into a grammar; the message says which part, for the caller. */
export class PatternError extends Error {}

/** Groups inside each other: every one is a step of recursion. */
const DEPTH_MAX = 64;

/**
 * The whole texts in which `pattern` is found. Anchors may stand at the two ends of the pattern or of its top-level
 * alternatives; where one is missing, any text may stand there.
 *
 * @throws PatternError
 */
export function parsePattern(pattern: string): Regex {
  const chars = Array.from(pattern);
  let at = 0;
  let depth = 0;
  const options = [anchored()];
  while (chars[at] === "|") {
    at++;
    options.push(anchored());
  }
  if (at < chars.length) throw new PatternError("it has an unmatched ')'");
  return { kind: "alt", options };

  function anchored(): Regex {
    const start = chars[at] === "^";
    if (start) at++;
    const items = sequence();
    const end = chars[at] === "$";
    if (end) at++;
    if (chars[at] !== undefined && chars[at] !== "|" && chars[at] !== ")") {
      throw new PatternError("'^' and '$' may only stand at its ends");
    }
    return { kind: "seq", items: [...(start ? [] : [ANYTHING]), ...items, ...(end ? [] : [ANYTHING])] };
  }

  function alternatives(): Regex {
    const inner: Regex[] = [{ kind: "seq", items: sequence() }];
    while (chars[at] === "|") {
      at++;
      inner.push({ kind: "seq", items: sequence() });
    }
    return { kind: "alt", options: inner };
  }

  function sequence(): Regex[] {
    const items: Regex[] = [];
    while (at < chars.length && !"|)$".includes(chars[at]!)) items.push(quantified());
    return items;
  }

  function quantified(): Regex {
    const item = atom();
    const counts = quantifier();
    if (!counts) return item;
    if (chars[at] === "?") at++; // Greedy or not: the same texts.
    if (counts.min > counts.max) throw new PatternError("a quantifier's bounds are out of order");
    return { kind: "repeat", item, ...counts };
  }

  function quantifier(): { min: number; max: number } | null {
    const sign = chars[at];
    const simple = { "*": [0, Number.POSITIVE_INFINITY], "+": [1, Number.POSITIVE_INFINITY], "?": [0, 1] }[sign ?? ""];
    if (simple) {
      at++;
      return { min: simple[0]!, max: simple[1]! };
    }
    if (sign !== "{") return null;
    const found = /^\{(\d+)(,(\d*))?\}/.exec(chars.slice(at, at + 24).join(""));
    if (!found) throw new PatternError("it has a '{' that begins no quantifier");
    at += found[0].length;
    const min = Number(found[1]);
    return { min, max: found[2] === undefined ? min : found[3] === "" ? Number.POSITIVE_INFINITY : Number(found[3]) };
  }

  function atom(): Regex {
    const char = chars[at++]!;
    if (char === "(") return group();
    if (char === "[") return { kind: "set", set: classSet() };
    if (char === ".") return { kind: "set", set: complement(LINE_ENDS) };
    if (char === "\\") return { kind: "set", set: escaped(false) };
    if ("^*+?{}]".includes(char)) throw new PatternError(`'${char}' stands where it means nothing we can enforce`);
    return { kind: "set", set: single(char) };
  }

  function group(): Regex {
    if (chars[at] === "?") {
      const head = /^\?(:|<[A-Za-z_$][\w$]*>)/.exec(chars.slice(at, at + 80).join(""));
      if (!head) throw new PatternError("look-around and flags inside it cannot be enforced");
      at += head[0].length;
    }
    if (++depth > DEPTH_MAX) throw new PatternError(`its groups are nested deeper than ${DEPTH_MAX}`);
    const inner = alternatives();
    depth--;
    if (chars[at] === "$") throw new PatternError("'^' and '$' may only stand at its ends");
    if (chars[at++] !== ")") throw new PatternError("it has an unmatched '('");
    return inner;
  }

  function classSet(): CharSet {
    const negated = chars[at] === "^";
    if (negated) at++;
    let set: CharSet = [];
    while (chars[at] !== "]") {
      if (at >= chars.length) throw new PatternError("it has an unmatched '['");
      const first = classMember();
      if (chars[at] !== "-" || chars[at + 1] === "]" || chars[at + 1] === undefined) {
        set = union(set, first);
        continue;
      }
      at++;
      const last = classMember();
      if (sizeOf(first) !== 1 || sizeOf(last) !== 1 || first[0]![0] > last[0]![0]) {
        throw new PatternError("a range in '[…]' is out of order");
      }
      set = union(set, charSet([first[0]![0], last[0]![0]]));
    }
    at++;
    return negated ? complement(set) : set;
  }

  function classMember(): CharSet {
    const char = chars[at++]!;
    return char === "\\" ? escaped(true) : single(char);
  }

  function escaped(inClass: boolean): CharSet {
    const char = chars[at++];
    if (char === undefined) throw new PatternError("it ends in '\\'");
    const known = CLASS_ESCAPES[char] ?? CONTROL_ESCAPES[char];
    if (known) return known;
    if (char === "b" && inClass) return charSet([8, 8]);
    if (char === "x" || char === "u") return hexEscape(char);
    if (char === "0" && !/\d/.test(chars[at] ?? "")) return charSet([0, 0]);
    if (char === "c" && /[a-zA-Z]/.test(chars[at] ?? "")) {
      const code = chars[at++]!.charCodeAt(0) % 32;
      return charSet([code, code]);
    }
    if (/[a-zA-Z0-9]/.test(char)) throw new PatternError(`'\\${char}' cannot be enforced`);
    return single(char);
  }

  function hexEscape(char: string): CharSet {
    const form = char === "x" ? /^[0-9a-fA-F]{2}/ : /^(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\})/;
    const found = form.exec(chars.slice(at, at + 8).join(""));
    if (!found) throw new PatternError(`'\\${char}' needs hexadecimal digits`);
    at += found[0].length;
    const code = Number.parseInt(found[0].replace(/[{}]/g, ""), 16);
    if (code > 0x10ffff) throw new PatternError(`'\\${char}' is beyond Unicode`);
    return charSet([code, code]);
  }
}

const single = (char: string): CharSet => charSet([char.codePointAt(0)!, char.codePointAt(0)!]);
const sizeOf = (set: CharSet): number => set.reduce((sum, [first, last]) => sum + last - first + 1, 0);

const LINE_ENDS = charSet([0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]);
const DIGITS = charSet([0x30, 0x39]);
const WORD = charSet([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]);
const SPACES = charSet(
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
);
const CLASS_ESCAPES: Record<string, CharSet> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: complement(SPACES),
};
const CONTROL_ESCAPES: Record<string, CharSet> = {
  t: charSet([9, 9]),
  n: charSet([10, 10]),
  v: charSet([11, 11]),
  f: charSet([12, 12]),
  r: charSet([13, 13]),
};
