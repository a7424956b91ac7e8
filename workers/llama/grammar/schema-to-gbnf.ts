// JSON Schema to GBNF: a grammar whose every text is JSON that the schema allows. It may allow less than the schema (keys
// in their declared order, no further keys unless the schema speaks of them, numbers of at most 15 digits), never more.
// What it cannot hold a model to is refused, or left out where the caller has said that this will do.

import type { FunctionDefinition } from "@oxbow/contract";
import { isApart } from "./apart.ts";
import { alt, EMPTY, type Expr, type Grammar, optional, repeat, seq, text } from "./gbnf.ts";
import { numberExpr } from "./numbers.ts";
import { objectExpr } from "./objects.ts";
import {
  createDocument,
  type JsonSchema,
  refusal,
  refuseUnenforceable,
  rootOf,
  type SchemaDocument,
} from "./schema.ts";
import type { ArrayShape, Place, Shape } from "./shape.ts";
import { fits, fitsPlace, itemPlace, shapesOf } from "./shapes.ts";
import { ANY_STRING, stringExpr, TooLarge } from "./strings.ts";
import type { JsonType } from "./values.ts";
import { spaced, whitespace } from "./whitespace.ts";

/** A schema with more places than this would make a grammar that slows every token down. */
const PLACES_MAX = 5_000;
/** How deep a value may be nested where the schema says nothing about it. */
const FREE_DEPTH = 8;

/**
 * Writes the rules for one schema into `grammar`.
 *
 * @param param where the schema stands in the request, for refusals
 * @param lenient leave out what cannot be enforced instead of refusing it; what is written is JSON all the same
 * @throws ApiError `invalid_schema`
 */
export function schemaExpr(grammar: Grammar, schema: unknown, param: string, lenient: boolean): Expr {
  const document = createDocument(schema, param, lenient);
  return createWriter(grammar, document)([rootOf(document)], "json");
}

/** Any JSON object: what `json_object` promises. */
export function anyObjectExpr(grammar: Grammar): Expr {
  return schemaExpr(grammar, { type: "object" }, "response_format", false);
}

/** The arguments of a function. Without parameters, or with none described, there is nothing to write but `{}`. */
export function argumentsExpr(grammar: Grammar, tool: FunctionDefinition, param: string): Expr {
  const { parameters } = tool;
  if (!parameters || Object.keys(parameters).length === 0) return text("{}");
  // An arguments object is an object, whether or not the schema takes the trouble to say so.
  const schema = parameters.type === undefined ? { ...parameters, type: "object" } : parameters;
  return schemaExpr(grammar, schema, param, tool.strict !== true);
}

function createWriter(grammar: Grammar, document: SchemaDocument) {
  let free: Expr | undefined;
  const known = new Map<string, Expr>();
  const numbers = new Map<JsonSchema | boolean, number>();

  function numberOf(schema: JsonSchema | boolean): number {
    const number = numbers.get(schema) ?? numbers.size;
    numbers.set(schema, number);
    return number;
  }

  function writePlace(place: Place, hint: string): Expr {
    if (place.length === 0) {
      free ??= freeValue(grammar);
      return free;
    }
    const key = [...new Set(place.map(({ schema }) => numberOf(schema)))].sort((a, b) => a - b).join(" ");
    let rule = known.get(key);
    if (!rule) {
      if (known.size >= PLACES_MAX) throw refusal(document.param, `it has more than ${PLACES_MAX} places`);
      const declared = grammar.declare(hint);
      rule = declared.ref;
      known.set(key, rule);
      declared.define(alt(...shapesOf(place).map(writeShape)));
    }
    return rule;
  }

  function writeShape(shape: Shape): Expr {
    const isExcluded = (value: unknown) => shape.excluded.some(({ place }) => fitsPlace(value, place));
    const values = shape.values?.filter((value) => fits(value, shape) && !isExcluded(value));
    if (values) return alt(...values.map((value) => text(JSON.stringify(value))));
    for (const { place, at, keyword } of shape.excluded) {
      if (isApart(shape, place)) continue;
      const why = keyword === "not" ? "it cannot be enforced" : "its branches overlap, or may; use 'anyOf'";
      refuseUnenforceable(at, keyword, why);
    }
    return alt(...[...shape.types].map((type) => writers[type](shape)));
  }

  const writers: Record<JsonType, (shape: Shape) => Expr> = {
    null: () => text("null"),
    boolean: () => alt(text("true"), text("false")),
    number: (shape) => bounded(shape, ["multipleOf"], () => numberExpr(grammar, shape.number), numberWithoutMultiples),
    string: (shape) => {
      const keywords = ["maxLength", "minLength", "pattern", "format"];
      return bounded(
        shape,
        keywords,
        () => stringExpr(grammar, shape.string),
        () => stringExpr(grammar, ANY_STRING),
      );
    },
    array: (shape) => arrayExpr(grammar, shape.array, writePlace),
    object: (shape) => objectExpr(grammar, shape, writePlace),
  };

  const numberWithoutMultiples = (shape: Shape) => numberExpr(grammar, { ...shape.number, multiplesOf: [] });

  /** What is too large for a grammar is refused at the first of its keywords, or loosened. */
  function bounded(shape: Shape, keywords: string[], exact: () => Expr, loose: (shape: Shape) => Expr): Expr {
    try {
      return exact();
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      for (const keyword of keywords) {
        const at = shape.sources.find(({ schema }) => typeof schema === "object" && schema[keyword] !== undefined);
        if (at) refuseUnenforceable(at, keyword, "it needs a grammar that is too large");
      }
      return loose(shape);
    }
  }

  return writePlace;
}

function arrayExpr(grammar: Grammar, shape: ArrayShape, writePlace: (place: Place, hint: string) => Expr): Expr {
  const { minItems, maxItems } = shape;
  const prefixLength = Math.max(0, ...shape.conjuncts.map(({ prefix }) => prefix.length));
  const comma = (expr: Expr) => seq(text(","), whitespace(grammar), expr);
  const item = (index: number) => writePlace(itemPlace(shape, index), "item");

  // From the last to the first: what may stand from `index` on.
  const restMin = Math.max(0, minItems - prefixLength);
  const restMax = maxItems - prefixLength;
  let items: Expr = EMPTY;
  if (restMax > 0 && prefixLength > 0) items = repeat(comma(item(prefixLength)), restMin, restMax);
  if (restMax > 0 && prefixLength === 0) {
    items = seq(item(0), repeat(comma(item(0)), Math.max(0, restMin - 1), restMax - 1));
    if (minItems === 0) return spaced(grammar, "[", optional(seq(items, whitespace(grammar))), "]");
  }
  for (let index = Math.min(prefixLength, maxItems) - 1; index >= 0; index--) {
    const own = seq(index === 0 ? item(0) : comma(item(index)), items);
    items = index >= minItems && index > 0 ? optional(own) : own;
  }
  if (maxItems === 0) return minItems === 0 ? seq(text("["), whitespace(grammar), text("]")) : alt();
  if (minItems > maxItems) return alt();
  const whole = seq(items, whitespace(grammar));
  return spaced(grammar, "[", minItems === 0 ? optional(whole) : whole, "]");
}

/** Any value, nested so deep at most that no model loses itself in brackets. */
function freeValue(grammar: Grammar): Expr {
  const shape = shapesOf([rootOf(createDocument(true, "", false))])[0]!;
  const simple = [text("null"), text("true"), text("false"), numberExpr(grammar, shape.number)];
  const scalar = grammar.rule("scalar", alt(...simple, stringExpr(grammar, ANY_STRING)));
  let value = scalar;
  for (let depth = 0; depth < FREE_DEPTH; depth++) {
    const inner = value;
    const nested = [arrayExpr(grammar, shape.array, () => inner), objectExpr(grammar, shape, () => inner)];
    value = grammar.rule("value", alt(scalar, ...nested));
  }
  return value;
}
