// The automaton that a regular expression is: its states are expressions, what remains to be read of the first one.
// Source: V. Antimirov, "Partial derivatives of regular expressions and finite automaton constructions", TCS 155 (1996).

import { type CharSet, has } from "./charset.ts";
import type { Regex } from "./regex.ts";

const EMPTY: Regex = { kind: "seq", items: [] };

/** Whether the empty text fits. */
export function isNullable(regex: Regex): boolean {
  switch (regex.kind) {
    case "set":
      return false;
    case "seq":
      return regex.items.every(isNullable);
    case "alt":
      return regex.options.some(isNullable);
    case "repeat":
      return regex.min === 0 || isNullable(regex.item);
  }
}

/** What may come first, and what must follow then. */
export function edgesOf(regex: Regex): [CharSet, Regex][] {
  switch (regex.kind) {
    case "set":
      return regex.set.length > 0 ? [[regex.set, EMPTY]] : [];
    case "alt":
      return regex.options.flatMap(edgesOf);
    case "seq": {
      const edges: [CharSet, Regex][] = [];
      for (const [index, item] of regex.items.entries()) {
        const rest = regex.items.slice(index + 1);
        for (const [set, next] of edgesOf(item)) edges.push([set, sequence([next, ...rest])]);
        if (!isNullable(item)) break;
      }
      return edges;
    }
    case "repeat": {
      if (regex.max === 0) return [];
      const left: Regex = { ...regex, min: Math.max(0, regex.min - 1), max: regex.max - 1 };
      return edgesOf(regex.item).map(([set, next]) => [set, sequence(left.max === 0 ? [next] : [next, left])]);
    }
  }
}

function sequence(items: Regex[]): Regex {
  const flat = items.flatMap((item) => (item.kind === "seq" ? item.items : [item]));
  return flat.length === 1 ? flat[0]! : { kind: "seq", items: flat };
}

/** A name for a state: equal for equal expressions. */
export function keyOf(regex: Regex): string {
  const known = keys.get(regex);
  if (known !== undefined) return known;
  const key = writeKey(regex);
  keys.set(regex, key);
  return key;
}
const keys = new WeakMap<Regex, string>();

function writeKey(regex: Regex): string {
  switch (regex.kind) {
    case "set":
      return `[${regex.set.join(";")}]`;
    case "seq":
      return `(${regex.items.map(keyOf).join(" ")})`;
    case "alt":
      return `(${regex.options.map(keyOf).join("|")})`;
    case "repeat":
      return `${keyOf(regex.item)}{${regex.min},${regex.max}}`;
  }
}

/** Whether the whole of `text` fits, in time linear in its length. */
export function matches(regex: Regex, text: string): boolean {
  let states = new Map([[keyOf(regex), regex]]);
  for (const char of text) {
    const code = char.codePointAt(0)!;
    const next = new Map<string, Regex>();
    for (const state of states.values()) {
      for (const [set, following] of edgesOf(state)) if (has(set, code)) next.set(keyOf(following), following);
    }
    states = next;
  }
  return [...states.values()].some(isNullable);
}
