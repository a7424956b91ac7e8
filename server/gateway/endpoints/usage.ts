// GET /v1/usage: what the caller's own account has used, request by request (newest first, by pages) or summed with `group`,
// and how the day's quota stands. Another account's usage cannot be asked for.

import {
  ApiError,
  USAGE_GROUPS,
  type UsageLimits,
  type UsageList,
  type UsageObject,
  type UsageSum,
  type UsageToday,
} from "@oxbow/contract";
import type { Caller } from "../../accounts/accounts.ts";
import { isDay, PAGE_MAX, type UsageFilter, type UsageOf, type UsageRow } from "../../ledger/ledger.ts";
import { type Exchange, identify, sendJson } from "../exchange.ts";

const PAGE_DEFAULT = 100;

/** Query: `after` (an id), `limit` (1 to 1000), `group` (day, model or key), and to narrow `day`, `model`, `key`. */
export async function usage(exchange: Exchange): Promise<Response> {
  const caller = identify(exchange);
  const query = new URL(exchange.request.url).searchParams;
  const day = dayIn(query);
  const filter: UsageFilter = {
    accountId: caller.accountId,
    keyId: query.get("key") ?? undefined,
    model: query.get("model") ?? undefined,
    from: day,
    to: day,
  };
  const found = query.has("group") ? await sums(exchange, filter, query) : await page(exchange, filter, query);
  const body: UsageList = {
    object: "list",
    ...found,
    first_id: found.data[0]?.id ?? null,
    last_id: found.data.at(-1)?.id ?? null,
    today: todayOf(exchange, caller),
    limits: limitsOf(exchange, caller),
  };
  return sendJson(exchange, body);
}

function todayOf({ rooms: { admission, ledger } }: Exchange, caller: Caller): UsageToday {
  const { requestsPerDay: quota, unitsInFlight } = admission.state(caller);
  const day = ledger.day();
  return {
    day,
    used: ledger.settled(caller.accountId, day),
    in_flight: unitsInFlight,
    limit: quota?.limit ?? null,
    remaining: quota?.remaining ?? null,
    resets_at: Date.parse(`${day}T00:00:00Z`) / 1000 + 86_400,
  };
}

function limitsOf({ rooms }: Exchange, caller: Caller): UsageLimits {
  const limits = rooms.admission.limitsOf(caller);
  return {
    plan: `${caller.plan.id}@${caller.plan.version}`,
    requests_per_day: limits.requestsPerDay,
    requests_per_minute: limits.requestsPerMinute,
    input_tokens_max: limits.inputTokensMax,
    output_tokens_max: limits.outputTokensMax,
    audio_seconds_max: limits.audioSecondsMax,
    image_pixels_max: limits.imagePixelsMax,
    speech_characters_max: limits.speechCharactersMax,
    concurrency_max: limits.concurrencyMax,
  };
}

type Found = Pick<UsageList, "data" | "has_more">;

async function sums(exchange: Exchange, filter: UsageFilter, query: URLSearchParams): Promise<Found> {
  const group = USAGE_GROUPS.find((name) => name === query.get("group"));
  if (!group) throw wrong("group", `one of ${USAGE_GROUPS.join(", ")}`);
  const data = await exchange.rooms.usage.groups(filter, group);
  return { data: data.map(sumOf), has_more: false };
}

async function page(exchange: Exchange, filter: UsageFilter, query: URLSearchParams): Promise<Found> {
  const limit = limitIn(query);
  const after = await cursorIn(exchange, filter, query);
  const found = await exchange.rooms.usage.rows(filter, { limit, after });
  if (!found) throw wrong("after", "an id of a page before");
  return { data: found.rows.map(objectOf), has_more: found.hasMore };
}

function dayIn(query: URLSearchParams): string | undefined {
  const day = query.get("day");
  if (day === null) return undefined;
  if (!isDay(day)) throw wrong("day", "a day of the form YYYY-MM-DD");
  return day;
}

function limitIn(query: URLSearchParams): number {
  const text = query.get("limit") ?? String(PAGE_DEFAULT);
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > PAGE_MAX) throw wrong("limit", `a whole number from 1 to ${PAGE_MAX}`);
  return limit;
}

async function cursorIn(exchange: Exchange, filter: UsageFilter, query: URLSearchParams): Promise<number | undefined> {
  const after = query.get("after");
  if (after === null) return undefined;
  const seq = await exchange.rooms.usage.cursorOf(filter.accountId!, after);
  if (seq === null) throw wrong("after", "an id of a page before");
  return seq;
}

function wrong(param: string, expected: string): ApiError {
  return new ApiError("invalid_value", `Invalid value for '${param}': expected ${expected}.`, { param });
}

function objectOf(row: UsageRow): UsageObject {
  return {
    id: row.requestId,
    object: "usage",
    created_at: Math.floor(row.at / 1000),
    day: row.day,
    api_key_id: row.keyId,
    plan: row.plan,
    model: row.model,
    endpoint: row.endpoint,
    units: row.units,
    outcome: row.outcome,
    prompt_tokens: row.tokensIn,
    completion_tokens: row.tokensOut,
    waited_ms: row.waitedMs,
    first_token_ms: row.firstTokenMs,
    duration_ms: row.durationMs,
    ...(row.reason === null ? {} : { reason: row.reason }),
  };
}

function sumOf({ name, requests, units, tokensIn, tokensOut }: UsageOf): UsageSum {
  return { id: name, object: "usage.sum", requests, units, prompt_tokens: tokensIn, completion_tokens: tokensOut };
}
