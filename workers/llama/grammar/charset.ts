// Sets of Unicode code points as sorted, disjoint ranges. Surrogates are in none of them: text that is well-formed has
// no half characters, and a model must not be able to write one.

export type CharSet = readonly (readonly [first: number, last: number])[];

export const ANY_CHAR: CharSet = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** @param ranges in any order, overlapping or not */
export function charSet(...ranges: (readonly [number, number])[]): CharSet {
  const sorted = ranges.filter(([first, last]) => first <= last).sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = merged.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else merged.push([first, last]);
  }
  return intersect(merged, ANY_CHAR);
}

export function union(a: CharSet, b: CharSet): CharSet {
  return charSet(...a, ...b);
}

export function intersect(a: CharSet, b: CharSet): CharSet {
  const common: [number, number][] = [];
  for (const [first, last] of a) {
    for (const [from, to] of b) {
      if (Math.max(first, from) <= Math.min(last, to)) common.push([Math.max(first, from), Math.min(last, to)]);
    }
  }
  return common;
}

export function complement(set: CharSet): CharSet {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [first, last] of set) {
    if (from < first) rest.push([from, first - 1]);
    from = last + 1;
  }
  rest.push([from, 0x10ffff]);
  return charSet(...rest);
}

export function has(set: CharSet, codePoint: number): boolean {
  return set.some(([first, last]) => first <= codePoint && codePoint <= last);
}
