// Builds a GBNF grammar, llama.cpp's notation for what a model may write, out of small expressions.
// Source: llama.cpp, grammars/README.md and src/llama-grammar.cpp of the release inside node-llama-cpp 3.22.1, read
// 2026-11-21. The parser there copies what is repeated, and turns a bound above 2,000 silently into no bound: so
// large counts are built here from small ones.

import type { CharSet } from "./charset.ts";

export type Expr =
  | { kind: "text"; text: string }
  | { kind: "set"; set: CharSet }
  | { kind: "ref"; name: string }
  | { kind: "seq"; items: Expr[] }
  /** Without options: what can never be written. */
  | { kind: "alt"; options: Expr[] }
  /** `max` may be Infinity. */
  | { kind: "repeat"; item: Expr; min: number; max: number };

export const text = (value: string): Expr => ({ kind: "text", text: value });
export const oneOf = (set: CharSet): Expr => ({ kind: "set", set });
export const seq = (...items: Expr[]): Expr => ({ kind: "seq", items });
export const alt = (...options: Expr[]): Expr => ({ kind: "alt", options });
export const repeat = (item: Expr, min: number, max: number): Expr => ({ kind: "repeat", item, min, max });
export const optional = (item: Expr): Expr => repeat(item, 0, 1);
export const EMPTY: Expr = seq();
export const NEVER: Expr = alt();

export interface Grammar {
  /** A rule with this body; equal bodies share one rule. `hint` becomes part of its name. */
  rule(hint: string, body: Expr): Expr;
  /** A rule that is named before its body is known, for rules that refer to themselves or to each other. */
  declare(hint: string): { ref: Expr; define(body: Expr): void };
  /** How many rules there are, for bounds. */
  readonly size: number;
  /** The grammar with the root rule `root`, or null when no finite text fits. Branches that could never end are left out. */
  print(root: Expr): string | null;
}

export function createGrammar(): Grammar {
  const bodies = new Map<string, Expr>();
  const namesByBody = new Map<string, string>();
  const taken = new Map<string, number>([["root", 1]]);

  function newName(hint: string): string {
    const base = hint.replace(/[^a-zA-Z0-9]+/g, "-").slice(0, 40) || "rule";
    const count = taken.get(base) ?? 0;
    taken.set(base, count + 1);
    // A digit of our own follows a separator that no base ends with, so two names never meet.
    return count === 0 ? base : newName(`${base.replace(/-$/, "")}-${count}`);
  }

  function rule(hint: string, body: Expr): Expr {
    const key = JSON.stringify(body, (_, value) => (value === Number.POSITIVE_INFINITY ? "inf" : value));
    let name = namesByBody.get(key);
    if (name === undefined) {
      name = newName(hint);
      namesByBody.set(key, name);
      bodies.set(name, body);
    }
    return { kind: "ref", name };
  }

  return {
    rule,
    declare(hint) {
      const name = newName(hint);
      bodies.set(name, NEVER);
      return { ref: { kind: "ref", name }, define: (body) => void bodies.set(name, body) };
    },
    get size() {
      return bodies.size;
    },
    print(root) {
      const countable = createCounts(rule);
      for (const [name, body] of [...bodies]) bodies.set(name, countable(body));
      bodies.set("root", countable(root));
      const finite = finiteRules(bodies);
      if (!finite.has("root")) return null;
      const lines: string[] = [];
      const wanted = ["root"];
      const seen = new Set(wanted);
      for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
        const body = prune(bodies.get(name)!, finite);
        lines.push(`${name} ::= ${print(body, false)}`);
        for (const next of refsOf(body)) {
          if (!seen.has(next)) wanted.push(next);
          seen.add(next);
        }
      }
      return `${lines.join("\n")}\n`;
    },
  };
}

/** Counts up to this stand in the grammar as they are. */
const COUNT_MAX = 64;
/** No answer has that many parts: as good as no bound. */
const UNBOUNDED_FROM = COUNT_MAX ** 4;

/**
 * Replaces large counts by rules: 1,000 times is 15 times (64 times) and 40 times. "Up to" is written such that the
 * engine never follows more than a few readings at once: either a full block and more, or less than a block.
 */
function createCounts(rule: (hint: string, body: Expr) => Expr): (expr: Expr) => Expr {
  function exactly(item: Expr, count: number): Expr {
    if (count <= COUNT_MAX) return repeat(item, count, count);
    const block = rule("block", repeat(item, COUNT_MAX, COUNT_MAX));
    return seq(exactly(block, Math.floor(count / COUNT_MAX)), repeat(item, count % COUNT_MAX, count % COUNT_MAX));
  }

  function upTo(item: Expr, count: number): Expr {
    if (count <= COUNT_MAX) return repeat(item, 0, count);
    let size = COUNT_MAX;
    while (size * COUNT_MAX <= count) size *= COUNT_MAX;
    const block = rule("block", exactly(item, size));
    const less = rule("less", upTo(item, size - 1));
    let rest = rule("rest", upTo(item, count % size));
    for (let blocks = Math.floor(count / size); blocks > 0; blocks--) {
      rest = rule("more", alt(seq(block, rest), less));
    }
    return rest;
  }

  return function countable(expr: Expr): Expr {
    switch (expr.kind) {
      case "seq":
        return seq(...expr.items.map(countable));
      case "alt":
        return alt(...expr.options.map(countable));
      case "repeat": {
        const { min } = expr;
        const max = expr.max >= UNBOUNDED_FROM ? Number.POSITIVE_INFINITY : expr.max;
        const inner = countable(expr.item);
        if (min <= COUNT_MAX && (max <= COUNT_MAX || max === Number.POSITIVE_INFINITY)) return repeat(inner, min, max);
        const item = inner.kind === "set" || inner.kind === "ref" ? inner : rule("part", inner);
        const rest = max === Number.POSITIVE_INFINITY ? repeat(item, 0, max) : upTo(item, max - min);
        return seq(exactly(item, min), rest);
      }
      default:
        return expr;
    }
  };
}

/** The rules from which some finite text can be written. */
function finiteRules(bodies: Map<string, Expr>): Set<string> {
  const finite = new Set<string>();
  for (let before = -1; before < finite.size; ) {
    before = finite.size;
    // What rules refer to mostly comes after them, so from the end it takes few rounds.
    for (const [name, body] of [...bodies].reverse())
      if (!finite.has(name) && isFinite_(body, finite)) finite.add(name);
  }
  return finite;
}

function isFinite_(expr: Expr, finite: Set<string>): boolean {
  switch (expr.kind) {
    case "text":
      return true;
    case "set":
      return expr.set.length > 0;
    case "ref":
      return finite.has(expr.name);
    case "seq":
      return expr.items.every((item) => isFinite_(item, finite));
    case "alt":
      return expr.options.some((option) => isFinite_(option, finite));
    case "repeat":
      return expr.min === 0 || isFinite_(expr.item, finite);
  }
}

/** The expression without what can never be finished, and without groups of one. */
function prune(expr: Expr, finite: Set<string>): Expr {
  switch (expr.kind) {
    case "seq": {
      const items = expr.items.map((item) => prune(item, finite)).filter((item) => !isEmpty(item));
      return items.length === 1 ? items[0]! : seq(...items);
    }
    case "alt": {
      const options = expr.options.filter((option) => isFinite_(option, finite)).map((option) => prune(option, finite));
      return options.length === 1 ? options[0]! : alt(...options);
    }
    case "repeat": {
      if (expr.max === 0 || !isFinite_(expr.item, finite)) return EMPTY;
      const item = prune(expr.item, finite);
      return isEmpty(item) || (expr.min === 1 && expr.max === 1) ? item : repeat(item, expr.min, expr.max);
    }
    default:
      return expr;
  }
}

function isEmpty(expr: Expr): boolean {
  return (expr.kind === "seq" && expr.items.length === 0) || (expr.kind === "text" && expr.text === "");
}

function* refsOf(expr: Expr): Generator<string> {
  if (expr.kind === "ref") yield expr.name;
  if (expr.kind === "seq") for (const item of expr.items) yield* refsOf(item);
  if (expr.kind === "alt") for (const option of expr.options) yield* refsOf(option);
  if (expr.kind === "repeat") yield* refsOf(expr.item);
}

/** @param atom whether the place takes one item only, so that several need parentheses */
function print(expr: Expr, atom: boolean): string {
  switch (expr.kind) {
    case "text":
      return quote(expr.text);
    case "set":
      return printSet(expr.set);
    case "ref":
      return expr.name;
    case "seq": {
      if (expr.items.length === 0) return '""';
      const items = expr.items.map((item) => print(item, item.kind === "alt")).join(" ");
      return atom ? `(${items})` : items;
    }
    case "alt": {
      const options = expr.options.map((option) => print(option, false)).join(" | ");
      return atom ? `(${options})` : options;
    }
    case "repeat": {
      // A text of several characters is one item for the notation, but its last character alone would be repeated by
      // a careless reader: parentheses leave no doubt. The same goes for a repetition of a repetition.
      const group = expr.item.kind === "text" || expr.item.kind === "repeat";
      const item = group ? `(${print(expr.item, false)})` : print(expr.item, true);
      return item + printCount(expr.min, expr.max);
    }
  }
}

function printCount(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? "*" : min === 1 ? "+" : `{${min},}`;
  if (min === 0 && max === 1) return "?";
  return min === max ? `{${min}}` : `{${min},${max}}`;
}

function quote(value: string): string {
  return `"${Array.from(value, (char) => (/[ !#-[\]-~]/.test(char) ? char : escapeChar(char.codePointAt(0)!))).join("")}"`;
}

function printSet(set: CharSet): string {
  const show = (codePoint: number) => {
    const char = String.fromCodePoint(codePoint);
    return /[a-zA-Z0-9]/.test(char) ? char : escapeChar(codePoint);
  };
  return `[${set.map(([first, last]) => (first === last ? show(first) : `${show(first)}-${show(last)}`)).join("")}]`;
}

function escapeChar(codePoint: number): string {
  if (codePoint <= 0xff) return `\\x${codePoint.toString(16).padStart(2, "0")}`;
  if (codePoint <= 0xffff) return `\\u${codePoint.toString(16).padStart(4, "0")}`;
  return `\\U${codePoint.toString(16).padStart(8, "0")}`;
}
