// The whitespace that a model may put into JSON: enough for the usual layouts, never without end.

import { alt, EMPTY, type Expr, type Grammar, oneOf, repeat, seq, text } from "./gbnf.ts";

/** Deeper indentation than any model writes. */
const INDENT_MAX = 24;

/** Nothing, one space, or a new line with its indentation. */
export function whitespace(grammar: Grammar): Expr {
  const indent = repeat(
    oneOf([
      [0x09, 0x09],
      [0x20, 0x20],
    ]),
    0,
    INDENT_MAX,
  );
  return grammar.rule("ws", alt(EMPTY, text(" "), seq(text("\n"), indent)));
}

export function spaced(grammar: Grammar, open: string, inner: Expr, close: string): Expr {
  return seq(text(open), whitespace(grammar), inner, text(close));
}
