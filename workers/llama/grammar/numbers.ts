// Numbers: ranges and multiples, exact to the last digit. A range of numbers with a fixed count of decimals is a range
// of integers with a point in them, so integers and decimals share one automaton over digits.

import { charSet } from "./charset.ts";
import { alt, EMPTY, type Expr, type Grammar, NEVER, oneOf, optional, repeat, seq, text } from "./gbnf.ts";
import { TooLarge } from "./strings.ts";

export interface NumberShape {
  integer: boolean;
  /** -Infinity when there is none. */
  min: number;
  minExclusive: boolean;
  /** Infinity when there is none. */
  max: number;
  maxExclusive: boolean;
  /** The number divided by each of them is an integer. All are above 0. */
  multiplesOf: number[];
}

export const ANY_NUMBER: NumberShape = {
  integer: false,
  min: Number.NEGATIVE_INFINITY,
  minExclusive: false,
  max: Number.POSITIVE_INFINITY,
  maxExclusive: false,
  multiplesOf: [],
};

/** Decimal digits that a double keeps whatever they are (IEEE 754: 15): more would be rounded, maybe over a bound. */
const DIGITS_MAX = 15;
/** Automata larger than this are refused: about what multiples of 60 need. */
const STATES_MAX = 1_000;
const DIGIT = charSet([0x30, 0x39]);

/** @throws TooLarge when a multiple needs too many states */
export function numberExpr(grammar: Grammar, shape: NumberShape): Expr {
  const bounded = shape.min !== Number.NEGATIVE_INFINITY || shape.max !== Number.POSITIVE_INFINITY;
  if (!bounded && shape.multiplesOf.length === 0) return shape.integer ? anyInteger(grammar) : anyNumber(grammar);

  const decimals = shape.integer ? 0 : decimalsOf(shape);
  const limit = shape.integer ? BigInt(Number.MAX_SAFE_INTEGER) : 10n ** BigInt(DIGITS_MAX + decimals) - 1n;
  const low = largest(-limit, shape.min === Number.NEGATIVE_INFINITY ? null : lowest(shape, decimals));
  const high = -largest(-limit, shape.max === Number.POSITIVE_INFINITY ? null : -highest(shape, decimals));
  const step = stepOf(shape.multiplesOf, decimals);

  const options: Expr[] = [];
  if (high >= 0n) options.push(magnitudes(grammar, low > 0n ? low : 0n, high, decimals, step));
  if (low < 0n) options.push(seq(text("-"), magnitudes(grammar, high < 0n ? -high : 1n, -low, decimals, step)));
  return alt(...options);
}

/** Whether a number of the caller's fits. */
export function numberFits(value: number, shape: NumberShape): boolean {
  if (shape.integer && !Number.isInteger(value)) return false;
  if (shape.minExclusive ? value <= shape.min : value < shape.min) return false;
  if (shape.maxExclusive ? value >= shape.max : value > shape.max) return false;
  return shape.multiplesOf.every((multiple) => Number.isInteger(value / multiple));
}

function anyInteger(grammar: Grammar): Expr {
  const nonZero = seq(oneOf(charSet([0x31, 0x39])), repeat(oneOf(DIGIT), 0, DIGITS_MAX - 1));
  return grammar.rule("integer", alt(text("0"), seq(optional(text("-")), nonZero)));
}

/** Finite by construction: at most 15 digits, 15 decimals and two digits of exponent. */
function anyNumber(grammar: Grammar): Expr {
  const whole = alt(text("0"), seq(oneOf(charSet([0x31, 0x39])), repeat(oneOf(DIGIT), 0, DIGITS_MAX - 1)));
  const fraction = seq(text("."), repeat(oneOf(DIGIT), 1, DIGITS_MAX));
  const sign = oneOf(charSet([0x2b, 0x2b], [0x2d, 0x2d]));
  const exponent = seq(oneOf(charSet([0x45, 0x45], [0x65, 0x65])), optional(sign), repeat(oneOf(DIGIT), 1, 2));
  return grammar.rule("number", seq(optional(text("-")), whole, optional(fraction), optional(exponent)));
}

/** How many decimals a number of this shape may have. */
function decimalsOf(shape: NumberShape): number {
  if (shape.multiplesOf.length > 0) {
    return Math.max(...shape.multiplesOf.map((multiple) => decimalOf(multiple).decimals));
  }
  const bounds = [shape.min, shape.max].filter(Number.isFinite).map(Math.abs);
  return Math.max(1, DIGITS_MAX - Math.max(1, ...bounds.map((bound) => String(Math.floor(bound)).length)));
}

/** What the number without its point must be a multiple of. */
function stepOf(multiples: number[], decimals: number): bigint {
  // A multiple may have more decimals than the number: multiples of 0.5 among integers are all integers.
  const own = Math.max(decimals, ...multiples.map((multiple) => decimalOf(multiple).decimals));
  const unit = 10n ** BigInt(own - decimals);
  return multiples.map((multiple) => scaled(multiple, own)).reduce(leastCommonMultiple, unit) / unit;
}

function decimalOf(value: number): { digits: bigint; decimals: number } {
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!;
  const decimals = fraction.length - Number(exponent);
  const digits = BigInt(sign! + whole! + fraction) * 10n ** BigInt(Math.max(0, -decimals));
  return { digits, decimals: Math.max(0, decimals) };
}

/** `value` times ten to the `decimals`, rounded down. */
function scaled(value: number, decimals: number): bigint {
  const decimal = decimalOf(value);
  if (decimal.decimals <= decimals) return decimal.digits * 10n ** BigInt(decimals - decimal.decimals);
  const divisor = 10n ** BigInt(decimal.decimals - decimals);
  const quotient = decimal.digits / divisor;
  return decimal.digits < 0n && quotient * divisor !== decimal.digits ? quotient - 1n : quotient;
}

function lowest(shape: NumberShape, decimals: number): bigint {
  return -scaled(-shape.min, decimals) + (shape.minExclusive && isExact(shape.min, decimals) ? 1n : 0n);
}

function highest(shape: NumberShape, decimals: number): bigint {
  return scaled(shape.max, decimals) - (shape.maxExclusive && isExact(shape.max, decimals) ? 1n : 0n);
}

const isExact = (value: number, decimals: number) => decimalOf(value).decimals <= decimals;
const largest = (a: bigint, b: bigint | null) => (b === null || a > b ? a : b);

function leastCommonMultiple(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y > 0n) [x, y] = [y, x % y];
  return (a / x) * b;
}

/**
 * The multiples of `step` from `low` to `high` (both at least 0), written with a point before their last `decimals`
 * digits; zeros at the end of a fraction may be left out.
 */
function magnitudes(grammar: Grammar, low: bigint, high: bigint, decimals: number, step: bigint): Expr {
  const options: Expr[] = [];
  const digits = createDigits(grammar, decimals, step);
  const lengthMax = Math.max(1, String(high).length - decimals);
  let freeFrom = 0;
  for (let length = 1; length <= lengthMax; length++) {
    const least = length === 1 ? 0n : 10n ** BigInt(length - 1 + decimals);
    const most = 10n ** BigInt(length + decimals) - 1n;
    if (high < least || low > most) continue;
    // Whole spans of lengths, each from 1 and zeros to nines, are one option.
    if (step === 1n && length > 1 && low <= least && high >= most) {
      freeFrom ||= length;
      if (length < lengthMax && high >= most * 10n + 9n) continue;
      const rest = repeat(oneOf(DIGIT), freeFrom - 1, length - 1);
      options.push(seq(oneOf(charSet([0x31, 0x39])), rest, digits.from(null, null, decimals, 0n)));
      continue;
    }
    const pad = (value: bigint) => String(value).padStart(length + decimals, "0");
    options.push(digits.from(pad(low > least ? low : least), pad(high < most ? high : most), length + decimals, 0n));
  }
  return alt(...options);
}

function createDigits(grammar: Grammar, decimals: number, step: bigint) {
  const known = new Map<string, Expr>();

  /**
   * What may follow when `left` digits are to come.
   * @param low the digits must not be below these; null when any will do
   * @param high nor above these
   * @param residue of what the digits before are worth, divided by `step`
   */
  function from(low: string | null, high: string | null, left: number, residue: bigint): Expr {
    const least = low === null || /^0*$/.test(low) ? null : low;
    const most = high === null || /^9*$/.test(high) ? null : high;
    if (least === null && most === null && step === 1n) return free(left);
    const key = `${least} ${most} ${left} ${residue}`;
    let expr = known.get(key);
    if (!expr) {
      if (known.size >= STATES_MAX) throw new TooLarge();
      expr = grammar.rule("digits", digitsExpr(least, most, left, residue));
      known.set(key, expr);
    }
    return expr;
  }

  function free(left: number): Expr {
    if (left > decimals) return seq(repeat(oneOf(DIGIT), left - decimals, left - decimals), free(decimals));
    if (left < decimals) return repeat(oneOf(DIGIT), 0, left);
    return decimals === 0 ? EMPTY : optional(seq(text("."), repeat(oneOf(DIGIT), 1, decimals)));
  }

  function digitsExpr(low: string | null, high: string | null, left: number, residue: bigint): Expr {
    // Zeros to the end: `low` is null exactly when they are not below it.
    const mayEnd = left <= decimals && low === null && residue === 0n;
    if (left === 0) return mayEnd ? EMPTY : NEVER;
    const options: Expr[] = [];
    const first = low === null ? 0 : Number(low[0]);
    const last = high === null ? 9 : Number(high[0]);
    for (let digit = first; digit <= last; digit++) {
      const next = from(
        low !== null && digit === first ? low.slice(1) : null,
        high !== null && digit === last ? high.slice(1) : null,
        left - 1,
        (residue + BigInt(digit) * 10n ** BigInt(left - 1)) % step,
      );
      options.push(seq(text(String(digit)), next));
    }
    const more = alt(...merged(options));
    const rest = left === decimals ? seq(text("."), more) : more;
    return mayEnd ? alt(rest, EMPTY) : rest;
  }

  return { from };
}

/** Digits with the same continuation as one set. */
function merged(options: Expr[]): Expr[] {
  const byRest = new Map<string, { digits: number[]; rest: Expr }>();
  for (const option of options) {
    if (option.kind !== "seq" || option.items[0]?.kind !== "text") continue;
    const rest = option.items[1]!;
    const key = JSON.stringify(rest);
    const entry = byRest.get(key) ?? { digits: [], rest };
    entry.digits.push(option.items[0].text.charCodeAt(0));
    byRest.set(key, entry);
  }
  return [...byRest.values()].map(({ digits, rest }) =>
    seq(oneOf(charSet(...digits.map((digit) => [digit, digit] as const))), rest),
  );
}
