// GET /usage: what the caller's account has used, as requests or as sums. Ours: OpenAI has nothing of the kind for a key.

import type { Outcome } from "./outcomes.ts";

/** One request that has ended, or a correction. Times are Unix seconds. */
export interface UsageObject {
  /** The `x-request-id` of the request. */
  id: string;
  object: "usage";
  created_at: number;
  /** UTC day it counts on, `YYYY-MM-DD`. */
  day: string;
  api_key_id: string;
  plan: string;
  model: string;
  endpoint: string;
  /** What it counts; 0 when it does not. */
  units: number;
  /** How it ended; null for a correction. */
  outcome: Outcome | null;
  prompt_tokens: number;
  completion_tokens: number;
  waited_ms: number | null;
  first_token_ms: number | null;
  duration_ms: number | null;
  /** Of a correction: why. */
  reason?: string;
}

/** The sum of one day, model or key. */
export interface UsageSum {
  /** The day, the model's id or the key's id; empty for corrections where they have none. */
  id: string;
  object: "usage.sum";
  /** Requests that counted. */
  requests: number;
  units: number;
  prompt_tokens: number;
  completion_tokens: number;
}

/** The day's quota, as it stands. */
export interface UsageToday {
  day: string;
  /** Units that have counted. */
  used: number;
  /** Units of calls that run, and count once they end well. What remains is without them. */
  in_flight: number;
  /** null: no limit. */
  limit: number | null;
  remaining: number | null;
  /** Unix seconds. */
  resets_at: number;
}

/** What holds for the account: its plan's numbers, or those of its contract. null: no limit. */
export interface UsageLimits {
  /** Plan and version, `pro@2026`. */
  plan: string;
  requests_per_day: number | null;
  requests_per_minute: number | null;
  /** Of one call. */
  input_tokens_max: number | null;
  output_tokens_max: number | null;
  audio_seconds_max: number | null;
  image_pixels_max: number | null;
  speech_characters_max: number | null;
  /** Calls at the same time. */
  concurrency_max: number | null;
}

export interface UsageList {
  object: "list";
  data: UsageObject[] | UsageSum[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
  today: UsageToday;
  limits: UsageLimits;
}

/** What sums can be made by. */
export const USAGE_GROUPS = ["day", "model", "key"] as const;
