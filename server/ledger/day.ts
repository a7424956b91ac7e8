// UTC days: `YYYY-MM-DD` outside, days since 1970 in the file, where two or three bytes hold one.

const DAY_MS = 86_400_000;

/** @param ms Unix milliseconds */
export function dayOf(ms: number): string {
  return dayText(Math.floor(ms / DAY_MS));
}

/** The last one that was asked for: all requests of a day ask for the same. */
let known = { text: "1970-01-01", number: 0 };

/** @throws RangeError when the text is no day of the calendar */
export function dayNumber(day: string): number {
  if (day === known.text) return known.number;
  const ms = isDay(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(ms)) throw new RangeError(`'${day}' is no day of the form YYYY-MM-DD`);
  known = { text: day, number: ms / DAY_MS };
  return known.number;
}

export function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const ms = Date.parse(`${text}T00:00:00Z`);
  // A parser may take the 30th of February for the 1st of March.
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

/** The later of two days. */
export function laterDay(a: string, b: string): string {
  return a > b ? a : b;
}
