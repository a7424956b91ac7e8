// What a period will have counted when it ends, if it goes on as it went: a straight line through the part that is over.

/** Before this part of the period is over, a line through it says nothing. */
const PART_MIN = 0.01;

/**
 * @param used units so far
 * @param period Unix milliseconds, its end not included
 * @param now Unix milliseconds
 * @returns units, rounded up; `used` once the period is over; null when it has hardly begun
 */
export function forecast(used: number, period: { from: number; until: number }, now: number): number | null {
  const part = (now - period.from) / (period.until - period.from);
  if (part >= 1) return used;
  return part < PART_MIN ? null : Math.ceil(used / part);
}
