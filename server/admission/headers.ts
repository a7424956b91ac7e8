// What every answer tells about the caller's limits, under the names that clients of the OpenAI API read.

import type { LimitsState } from "./limits.ts";

/**
 * The plain fields speak of the minute, and of the day where a plan has no minute. A limit that a plan does not have has no
 * fields. Source of names and of the form of durations: recorded answers of OpenAI's.
 */
export function rateLimitHeaders({ requestsPerMinute, requestsPerDay }: LimitsState): Record<string, string> {
  // Written out: every answer has them, and names that are put together anew cost as much as all else here.
  const fields: Record<string, string> = {};
  const plain = requestsPerMinute ?? requestsPerDay;
  if (plain) {
    fields["x-ratelimit-limit-requests"] = String(plain.limit);
    fields["x-ratelimit-remaining-requests"] = String(plain.remaining);
    fields["x-ratelimit-reset-requests"] = durationText(plain.resetMs);
  }
  if (requestsPerDay) {
    fields["x-ratelimit-limit-requests-day"] = String(requestsPerDay.limit);
    fields["x-ratelimit-remaining-requests-day"] = String(requestsPerDay.remaining);
    fields["x-ratelimit-reset-requests-day"] = durationText(requestsPerDay.resetMs);
  }
  return fields;
}

/** A duration as Go writes it, to the millisecond: `120ms`, `1.35s`, `6m0s`, `15h59m2.5s`. */
export function durationText(durationMs: number): string {
  const ms = Math.max(0, Math.ceil(durationMs));
  if (ms > 0 && ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const seconds = `${(ms % 60_000) / 1000}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
