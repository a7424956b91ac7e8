// Reads the notation of families.ts: one description of how calls are written gives the grammar that models are held to,
// the matcher that finds names and arguments in their text, and the example that a model is taught with.

import { ANY_CHAR, charSet, complement, intersect } from "../grammar/charset.ts";
import { alt, EMPTY, type Expr, type Grammar, NEVER, oneOf, repeat, seq, text } from "../grammar/gbnf.ts";
import { whitespace } from "../grammar/whitespace.ts";
import type { CallSyntax } from "./families.ts";

type Part = { kind: "text"; text: string } | { kind: "space" } | { kind: "name" } | { kind: "id" };

/** A call, cut where its arguments stand. */
interface CallParts {
  head: Part[];
  tail: Part[];
}

export interface Tool {
  name: string;
  /** The rule for its arguments. */
  arguments: Expr;
}

/** The calls from `begin` on, which is not part of it: whoever finds the marker goes on here. */
export function callsExpr(grammar: Grammar, syntax: CallSyntax, tools: Tool[], parallel: boolean): Expr {
  const { head, tail } = cut(syntax.call);
  const nameAt = head.findIndex(({ kind }) => kind === "name");
  const before = head.slice(0, nameAt);
  const after = head.slice(nameAt + 1);
  const call = grammar.rule(
    "call",
    seq(
      expr(grammar, before),
      alt(...tools.map((tool) => seq(text(tool.name), expr(grammar, after), tool.arguments))),
      expr(grammar, tail),
    ),
  );
  const more =
    parallel && syntax.between !== null
      ? repeat(seq(expr(grammar, partsOf(syntax.between)), call), 0, Number.POSITIVE_INFINITY)
      : EMPTY;
  return seq(expr(grammar, partsOf(syntax.open)), call, more, expr(grammar, partsOf(syntax.finish)));
}

/** Any text up to the first `marker`, then `then`; where `mayEnd`, the text may end without any marker. */
export function textUntil(grammar: Grammar, marker: string, then: Expr, mayEnd: boolean): Expr {
  // The automaton of Knuth, Morris and Pratt: one rule for each length of the marker that has just been read.
  const states = Array.from(marker, () => grammar.declare("text"));
  for (const [length, state] of states.entries()) {
    let others = ANY_CHAR;
    const options: Expr[] = mayEnd ? [EMPTY] : [];
    for (const char of new Set(marker)) {
      const next = longestBorder(marker, marker.slice(0, length) + char);
      if (next === 0) continue;
      const code = charSet([char.codePointAt(0)!, char.codePointAt(0)!]);
      others = intersect(others, complement(code));
      options.push(seq(oneOf(code), next === marker.length ? then : states[next]!.ref));
    }
    state.define(alt(...options, seq(oneOf(others), states[0]!.ref)));
  }
  return states[0]?.ref ?? NEVER;
}

/** How much of the beginning of `marker` ends `read`. */
function longestBorder(marker: string, read: string): number {
  let length = Math.min(marker.length, read.length);
  while (!read.endsWith(marker.slice(0, length))) length--;
  return length;
}

function expr(grammar: Grammar, parts: Part[]): Expr {
  const alphanumeric = oneOf(charSet([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]));
  return seq(
    ...parts.map((part) => {
      if (part.kind === "text") return text(part.text);
      return part.kind === "space" ? whitespace(grammar) : repeat(alphanumeric, 9, 9);
    }),
  );
}

/** Calls as the family writes them: `arguments` is JSON text. */
export function writeCalls(syntax: CallSyntax, calls: { name: string; arguments: string }[]): string {
  const written = calls.map((call, index) => {
    const parts = syntax.call
      .replaceAll(/([,:])~/g, "$1 ")
      .replaceAll("~", "")
      .split(/([§¶#])/);
    const id = String(index).padStart(9, "0");
    const fillings: Record<string, string> = { "§": call.name, "¶": call.arguments, "#": id };
    return parts.map((part) => fillings[part] ?? part).join("");
  });
  const plain = (notation: string) => notation.replaceAll("~", "");
  // Where only one call fits into an answer, several are written as if each were one.
  const between = syntax.between === null ? `\n${syntax.begin}` : plain(syntax.between);
  return syntax.begin + plain(syntax.open) + written.join(between) + plain(syntax.finish);
}

export type Match = { end: number; name: string } | "more" | "no";

export interface CallMatcher {
  /** From the end of `begin`, or of the call before, to the first character of the arguments. */
  head(buffer: string, first: boolean): Match;
  /** From the end of the arguments to the end of the call. */
  tail(buffer: string): Match;
  finish(buffer: string): Match;
}

export function createCallMatcher(syntax: CallSyntax, names: string[]): CallMatcher {
  const { head, tail } = cut(syntax.call);
  const firstHead = [...partsOf(syntax.open), ...head];
  const nextHead = syntax.between === null ? null : [...partsOf(syntax.between), ...head];
  const finish = partsOf(syntax.finish);
  return {
    head: (buffer, first) => {
      const parts = first ? firstHead : nextHead;
      return parts ? match(parts, buffer, 0, names) : "no";
    },
    tail: (buffer) => match(tail, buffer, 0, names),
    finish: (buffer) => (finish.length === 0 ? "no" : match(finish, buffer, 0, names)),
  };
}

/** Matches `parts` at `at`; "more" when the buffer ends too early to tell. */
function match(parts: Part[], buffer: string, at: number, names: string[], name = ""): Match {
  const [part, ...rest] = parts;
  if (!part) return { end: at, name };
  switch (part.kind) {
    case "text":
      return matchText(part.text, buffer, at, () => match(rest, buffer, at + part.text.length, names, name));
    case "space": {
      let end = at;
      while (end < buffer.length && " \t\r\n".includes(buffer[end]!)) end++;
      // Whitespace at the very end may go on: only what follows tells.
      return rest.length === 0 && end === buffer.length ? "more" : match(rest, buffer, end, names, name);
    }
    case "id": {
      const id = buffer.slice(at, at + 9);
      if (!/^[a-zA-Z0-9]*$/.test(id)) return "no";
      return id.length < 9 ? "more" : match(rest, buffer, at + 9, names, name);
    }
    case "name": {
      const tried = names.map((one) =>
        matchText(one, buffer, at, () => match(rest, buffer, at + one.length, names, one)),
      );
      return tried.find((found) => typeof found === "object") ?? (tried.includes("more") ? "more" : "no");
    }
  }
}

function matchText(wanted: string, buffer: string, at: number, then: () => Match): Match {
  if (buffer.startsWith(wanted, at)) return then();
  return wanted.startsWith(buffer.slice(at)) ? "more" : "no";
}

function cut(call: string): CallParts {
  const [head = "", tail = ""] = call.split("¶");
  return { head: partsOf(head), tail: partsOf(tail) };
}

function partsOf(notation: string): Part[] {
  return notation
    .split(/([~§#])/)
    .filter((piece) => piece !== "")
    .map((piece): Part => {
      if (piece === "~") return { kind: "space" };
      if (piece === "§") return { kind: "name" };
      return piece === "#" ? { kind: "id" } : { kind: "text", text: piece };
    });
}
