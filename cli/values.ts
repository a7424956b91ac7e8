// Values as people type them and as they are shown: durations, dates, lists.

import { InvalidArgumentError } from "commander";

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * `90s`, `30m`, `1h`, `7d`, `2w` or `0`, in milliseconds.
 * @throws InvalidArgumentError
 */
export function durationOf(text: string): number {
  const [, digits, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * UNITS[unit!]!;
  if (text === "0") return 0;
  throw new InvalidArgumentError("It must be a duration such as 30m, 1h or 7d.");
}

/**
 * A duration from now, or a moment: `2027-01-31` (its first moment, in UTC) or an ISO 8601 time with its zone.
 * @returns Unix milliseconds
 * @throws InvalidArgumentError
 */
export function momentOf(text: string, now: number): number {
  if (/^\d+[smhdw]$/.test(text)) return now + durationOf(text);
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const at = isDate ? Date.parse(text) : Number.NaN;
  // Date.parse takes the 31st of February for a day of March.
  if (!Number.isNaN(at) && isDayOfMonth(text)) return at;
  throw new InvalidArgumentError("It must be a duration such as 30d, or a date such as 2027-01-31.");
}

function isDayOfMonth(text: string): boolean {
  const [year, month, day] = text.slice(0, 10).split("-").map(Number);
  return new Date(Date.UTC(year!, month! - 1, day!)).getUTCDate() === day;
}

/** @throws InvalidArgumentError */
export function countOf(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 1 on.");
}

export function listOf(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return names;
  throw new InvalidArgumentError("It must be names with commas between them.");
}

/** ISO 8601, in UTC: times for programs. */
export function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** To the minute, in UTC: times for people. */
export function timeOf(ms: number | null): string {
  return isoOf(ms)?.slice(0, 16).replace("T", " ") ?? "-";
}

/** Bytes for people: as the sellers of disks and the hub count them. */
export function bytesText(bytes: number): string {
  const unit = UNITS_OF_BYTES.findLast(([size]) => bytes >= size) ?? UNITS_OF_BYTES[0]!;
  const value = bytes / unit[0];
  return `${value >= 100 || unit[0] === 1 ? Math.round(value) : value.toFixed(1)} ${unit[1]}`;
}

const UNITS_OF_BYTES: [number, string][] = [
  [1, "B"],
  [1e3, "kB"],
  [1e6, "MB"],
  [1e9, "GB"],
  [1e12, "TB"],
];

/** `8 s`, `3 min 20 s`, `2 h 5 min` */
export function leftText(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}
