// Strings: length, patterns and formats, written as JSON strings. Length and patterns are enforced together, by the
// automaton that all of them make; a plain string needs none.

import { edgesOf, isNullable, keyOf, matches } from "./automaton.ts";
import { ANY_CHAR, type CharSet, charSet, has, intersect } from "./charset.ts";
import { alt, type Expr, type Grammar, NEVER, oneOf, repeat, seq, text } from "./gbnf.ts";
import type { Regex } from "./regex.ts";

export interface StringShape {
  minLength: number;
  /** Infinity when there is none. */
  maxLength: number;
  /** All of them hold for the whole string. */
  patterns: Regex[];
}

export const ANY_STRING: StringShape = { minLength: 0, maxLength: Number.POSITIVE_INFINITY, patterns: [] };

/** Automata larger than this are refused: the engine would feel them. */
const STATES_MAX = 2_000;
/** Steps looked at while an automaton is made: about 100 ms. */
const STEPS_MAX = 20_000;

export class TooLarge extends Error {}

/** @throws TooLarge when patterns and lengths together need too many states */
export function stringExpr(grammar: Grammar, shape: StringShape): Expr {
  if (shape.patterns.length > 0) return seq(text('"'), automaton(grammar, withoutSlack(shape)));
  if (shape.minLength > shape.maxLength) return NEVER;
  return seq(text('"'), repeat(anyChar(grammar), shape.minLength, shape.maxLength), text('"'));
}

/** Whether a string of the caller's (an enum value, a key) fits. Lengths count code points. */
export function stringFits(value: string, shape: StringShape): boolean {
  const length = Array.from(value).length;
  if (length < shape.minLength || length > shape.maxLength) return false;
  return shape.patterns.every((pattern) => matches(pattern, value));
}

/** Drops length bounds that the patterns keep anyway, for every counted character is a state more. */
function withoutSlack(shape: StringShape): StringShape {
  const lengths = shape.patterns.map(lengthsOf);
  const least = Math.max(...lengths.map(({ min }) => min));
  const most = Math.min(...lengths.map(({ max }) => max));
  return {
    minLength: least >= shape.minLength ? 0 : shape.minLength,
    maxLength: most <= shape.maxLength ? Number.POSITIVE_INFINITY : shape.maxLength,
    patterns: shape.patterns,
  };
}

function lengthsOf(regex: Regex): { min: number; max: number } {
  switch (regex.kind) {
    case "set":
      return { min: 1, max: 1 };
    case "seq": {
      const parts = regex.items.map(lengthsOf);
      return {
        min: parts.reduce((sum, part) => sum + part.min, 0),
        max: parts.reduce((sum, part) => sum + part.max, 0),
      };
    }
    case "alt": {
      const parts = regex.options.map(lengthsOf);
      return { min: Math.min(...parts.map(({ min }) => min)), max: Math.max(...parts.map(({ max }) => max)) };
    }
    case "repeat": {
      const item = lengthsOf(regex.item);
      return { min: item.min * regex.min, max: item.max === 0 || regex.max === 0 ? 0 : item.max * regex.max };
    }
  }
}

/**
 * One rule per state. A state is all that the text so far may have come to, and how many characters it has where that
 * still matters: deterministic, because an engine that follows many readings at once is slow with every token.
 */
function automaton(grammar: Grammar, { minLength, maxLength, patterns }: StringShape): Expr {
  const lengthMax = maxLength === Number.POSITIVE_INFINITY ? minLength : maxLength;
  const rules = new Map<string, ReturnType<Grammar["declare"]>>();
  const open: { readings: Readings; length: number; define(body: Expr): void }[] = [];
  let steps = 0;

  function stateRule(readings: Readings, length: number): Expr {
    const key = `${length} ${[...readings.keys()].sort().join(" | ")}`;
    let rule = rules.get(key);
    if (!rule) {
      if (rules.size >= STATES_MAX) throw new TooLarge();
      rule = grammar.declare("text");
      rules.set(key, rule);
      open.push({ readings, length, define: rule.define });
    }
    return rule.ref;
  }

  const start = stateRule(new Map([[patterns.map(keyOf).join(" & "), patterns]]), 0);
  for (let state = open.pop(); state; state = open.pop()) {
    const options: Expr[] = [];
    const readings = [...state.readings.values()];
    if (state.length >= minLength && readings.some((states) => states.every(isNullable))) options.push(text('"'));
    if (state.length < maxLength) {
      const edges = readings.flatMap(commonEdges);
      steps += edges.length;
      if (steps > STEPS_MAX) throw new TooLarge();
      const length = Math.min(state.length + 1, lengthMax);
      for (const { set, next } of disjoint(edges)) {
        options.push(seq(charExpr(grammar, set), stateRule(next, length)));
      }
    }
    state.define(alt(...options));
  }
  return start;
}

/** By key: for every pattern what must follow. Any one of the readings will do. */
type Readings = Map<string, Regex[]>;

interface Edge {
  set: CharSet;
  next: Regex[];
}

/** The steps that all patterns can take together. */
function commonEdges(states: Regex[]): Edge[] {
  let edges: Edge[] = [{ set: ANY_CHAR, next: [] }];
  for (const state of states) {
    const own = edgesOf(state);
    edges = edges.flatMap(({ set, next }) =>
      own
        .map(([ownSet, following]) => ({ set: intersect(set, ownSet), next: [...next, following] }))
        .filter((edge) => edge.set.length > 0),
    );
  }
  return edges;
}

/** Edges of which no two share a character: each leads to everything that its characters led to before. */
function disjoint(edges: Edge[]): { set: CharSet; next: Readings }[] {
  const named = edges.map((edge) => ({ ...edge, key: edge.next.map(keyOf).join(" & ") }));
  const borders = new Set(edges.flatMap(({ set }) => set.flatMap(([first, last]) => [first, last + 1])));
  const sorted = [...borders].sort((a, b) => a - b);
  const found = new Map<string, { ranges: [number, number][]; next: Readings }>();
  for (const [index, first] of sorted.entries()) {
    const next: Readings = new Map();
    for (const edge of named) if (has(edge.set, first)) next.set(edge.key, edge.next);
    if (next.size === 0) continue;
    const key = [...next.keys()].sort().join(" | ");
    const known = found.get(key) ?? { ranges: [], next };
    known.ranges.push([first, (sorted[index + 1] ?? first + 1) - 1]);
    found.set(key, known);
  }
  return [...found.values()].map(({ ranges, next }) => ({ set: charSet(...ranges), next }));
}

/** What a JSON string may hold as it is. DEL is legal there, but control characters are never meant. */
const RAW = charSet([0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7e], [0x80, 0x10ffff]);
const SHORT_ESCAPES: Record<number, string> = {
  34: '\\"',
  92: "\\\\",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  12: "\\f",
  13: "\\r",
};

/** Any one character of a string, raw or escaped. Escaped half characters are left out: they are no text. */
function anyChar(grammar: Grammar): Expr {
  const hex = oneOf(charSet([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]));
  const notD = oneOf(charSet([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]));
  const bmp = alt(
    seq(notD, repeat(hex, 3, 3)),
    seq(oneOf(charSet([0x44, 0x44], [0x64, 0x64])), oneOf(charSet([0x30, 0x37])), repeat(hex, 2, 2)),
  );
  const short = oneOf(charSet(...Array.from('"\\/bfnrt', (char) => [char.charCodeAt(0), char.charCodeAt(0)] as const)));
  return grammar.rule("char", alt(oneOf(RAW), seq(text("\\"), alt(short, seq(text("u"), bmp)))));
}

/** One character of `set` inside a JSON string. */
function charExpr(grammar: Grammar, set: CharSet): Expr {
  if (set === ANY_CHAR || keyOf({ kind: "set", set }) === keyOf({ kind: "set", set: ANY_CHAR }))
    return anyChar(grammar);
  const options: Expr[] = [];
  const raw = intersect(set, RAW);
  if (raw.length > 0) options.push(oneOf(raw));
  for (const [code, escaped] of Object.entries(SHORT_ESCAPES)) if (has(set, Number(code))) options.push(text(escaped));
  // Other control characters have only a long spelling, and are written only where nothing else fits.
  if (options.length === 0) {
    for (let code = 0; code < 0x80; code++) {
      if (has(set, code)) options.push(text(`\\u${code.toString(16).padStart(4, "0")}`));
    }
  }
  return options.length === 1 ? options[0]! : grammar.rule("char", alt(...options));
}

/** Any string but those in `taken`, without escapes: for keys that must not repeat a known one. */
export function stringExcept(grammar: Grammar, taken: string[]): Expr {
  const rest = (prefix: string, left: string[]): Expr => {
    const firsts = new Set(left.filter((word) => word !== "").map((word) => Array.from(word)[0]!));
    const others = [...firsts].reduce((set, char) => intersect(set, complementOf(char)), RAW);
    const options: Expr[] = [seq(oneOf(others), repeat(oneOf(RAW), 0, Number.POSITIVE_INFINITY), text('"'))];
    if (!left.includes("")) options.push(text('"'));
    for (const first of firsts) {
      if (!has(RAW, first.codePointAt(0)!)) continue;
      const following = left.filter((word) => word.startsWith(first)).map((word) => word.slice(first.length));
      options.push(seq(text(first), rest(prefix + first, following)));
    }
    return grammar.rule("key", alt(...options));
  };
  return seq(text('"'), rest("", taken));
}

function complementOf(char: string): CharSet {
  const code = char.codePointAt(0)!;
  return charSet([0, code - 1], [code + 1, 0x10ffff]);
}
