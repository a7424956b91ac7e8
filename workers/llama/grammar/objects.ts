// Objects: declared properties in their order, optional ones left out or not, then further keys where they are allowed.

import { alt, EMPTY, type Expr, type Grammar, NEVER, optional, repeat, seq, text } from "./gbnf.ts";
import { refuseUnenforceable } from "./schema.ts";
import type { ObjectShape, Place, Shape } from "./shape.ts";
import { fitsPlace, propertyPlace, shapesOf } from "./shapes.ts";
import { ANY_STRING, stringExcept, stringExpr } from "./strings.ts";
import { spaced, whitespace } from "./whitespace.ts";

type WritePlace = (place: Place, hint: string) => Expr;

interface Member {
  name: string;
  expr: Expr;
  required: boolean;
}

export function objectExpr(grammar: Grammar, shape: Shape, writePlace: WritePlace): Expr {
  const { object } = shape;
  const members = declaredNames(object).map((name) => ({
    name,
    expr: fitsPlace(name, object.names)
      ? member(grammar, text(JSON.stringify(name)), writePlace(propertyPlace(object, name), name))
      : NEVER,
    required: object.required.has(name),
  }));
  const counts = countsOf(shape, members);
  const kept = counts.optionals ? members : members.filter(({ required }) => required);
  const further = counts.furtherMax > 0 ? furtherMember(grammar, shape, members, writePlace) : NEVER;
  return membersExpr(grammar, kept, further, counts.furtherMax, counts.mayBeEmpty);
}

/** In the order of the schemas; required keys that no schema describes come last. */
function declaredNames(object: ObjectShape): string[] {
  const names = new Set<string>();
  for (const { properties } of object.conjuncts) for (const name of properties.keys()) names.add(name);
  for (const name of object.required) names.add(name);
  // Keys that are listed as the only ones are as good as declared.
  const listed = object.names.length > 0 ? shapesOf(object.names).flatMap(({ values }) => values ?? []) : [];
  if (isOpen(object)) for (const name of listed) if (typeof name === "string") names.add(name);
  return [...names];
}

/** Keys that no schema names are written when the schema says so, or says nothing at all about keys. */
const isOpen = (object: ObjectShape) => object.open || !object.closed;

function member(grammar: Grammar, key: Expr, value: Expr): Expr {
  return grammar.rule("member", seq(key, text(":"), optional(text(" ")), value));
}

function countsOf(shape: Shape, members: Member[]) {
  const { minProperties, maxProperties } = shape.object;
  const required = members.filter((member) => member.required).length;
  const name = (keyword: string) => {
    const at = shape.sources.find(({ schema }) => typeof schema === "object" && schema[keyword] !== undefined);
    if (at) refuseUnenforceable(at, keyword, "with these properties it cannot be enforced");
  };
  // Fewer keys than declared: all optional ones may only be left out together.
  const optionals = members.length <= maxProperties;
  if (!optionals && required < maxProperties) name("maxProperties");
  // Keys may repeat, so only one more than the required ones is certain.
  if (minProperties > Math.max(required, 1)) name("minProperties");
  if (required > maxProperties) return { optionals, furtherMax: 0, mayBeEmpty: false };
  return {
    optionals,
    furtherMax: Math.max(0, maxProperties - members.length),
    mayBeEmpty: required === 0 && minProperties === 0,
  };
}

/** A key that is not declared, with its value. NEVER where there is none, or none that is surely another one. */
function furtherMember(grammar: Grammar, shape: Shape, members: Member[], writePlace: WritePlace): Expr {
  const { object } = shape;
  if (!isOpen(object)) return NEVER;
  const patterns = object.conjuncts.flatMap((conjunct) => conjunct.patterns);
  if (patterns.length > 1) {
    const at = shape.sources.find(({ schema }) => typeof schema === "object" && schema.patternProperties !== undefined);
    if (at) refuseUnenforceable(at, "patternProperties", "several patterns cannot be enforced");
    return NEVER;
  }
  const names = members.map(({ name }) => name);
  const value = object.conjuncts.flatMap((conjunct) => conjunct.patterns[0]?.[1] ?? conjunct.additional ?? []);
  if (patterns.length === 0 && object.names.length === 0) {
    return member(grammar, stringExcept(grammar, names), writePlace(value, "further"));
  }
  const keys = object.names.length > 0 ? shapesOf(object.names) : [];
  const string = keys[0]?.string ?? ANY_STRING;
  if (keys.length > 1 || keys[0]?.values || (object.names.length > 0 && !keys[0]?.types.has("string"))) return NEVER;
  const shapeOfKey = { ...string, patterns: [...string.patterns, ...patterns.map(([pattern]) => pattern)] };
  const plain = shapeOfKey.patterns.length === 0 && string.minLength === 0 && string.maxLength === ANY_STRING.maxLength;
  if (plain) return member(grammar, stringExcept(grammar, names), writePlace(value, "further"));
  if (names.length > 0) return NEVER;
  return member(grammar, stringExpr(grammar, shapeOfKey), writePlace(value, "further"));
}

function membersExpr(
  grammar: Grammar,
  members: Member[],
  further: Expr,
  furtherMax: number,
  mayBeEmpty: boolean,
): Expr {
  const comma = (expr: Expr) => seq(text(","), whitespace(grammar), expr);
  // From the last to the first: what may follow a member, and what an object may begin with.
  let tail = further === NEVER ? EMPTY : grammar.rule("more", repeat(comma(further), 0, furtherMax));
  let head = further === NEVER ? NEVER : seq(further, repeat(comma(further), 0, furtherMax - 1));
  for (const { expr, required } of members.toReversed()) {
    head = required ? seq(expr, tail) : alt(seq(expr, tail), head);
    tail = grammar.rule("rest", seq(required ? comma(expr) : optional(comma(expr)), tail));
  }
  return spaced(
    grammar,
    "{",
    mayBeEmpty ? optional(seq(head, whitespace(grammar))) : seq(head, whitespace(grammar)),
    "}",
  );
}
