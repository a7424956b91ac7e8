// From the Authorization header to the caller. The path of every request, so what was looked up once stays in memory,
// good keys and bad ones, until something changes.

import { timingSafeEqual } from "node:crypto";
import { ApiError } from "@oxbow/contract";
import type { Kysely } from "kysely";
import type { PlanRef } from "../config.ts";
import type { Store } from "../store/store.ts";
import { createCache } from "./cache.ts";
import { maskKey, readKey } from "./key.ts";
import { stateOf } from "./keys.ts";
import type { AccountsTables } from "./migrations.ts";
import { digestOf } from "./pepper.ts";
import { type Overrides, readModels, readOverrides } from "./terms.ts";

/** Who sends a request, and what of his terms is not in his plan. Shared between requests, so frozen. */
export interface Caller {
  accountId: string;
  accountName: string;
  keyId: string;
  role: "admin" | "member";
  /** Names a row of the plans. */
  plan: PlanRef;
  /** Unix milliseconds. While it is in the future the account has all models, whatever the plan's tiers. */
  trialEndsAt: number | null;
  /** By contract: these replace the plan's numbers. null: no limit. */
  overrides: Overrides;
  /** A narrowed key: only these, by id. */
  keyModels: readonly string[] | null;
  /** A narrowed key: at most this many of the account's requests in a UTC day. */
  keyRequestsPerDay: number | null;
}

export interface IdentifyOptions {
  store: Pick<Store, "read" | "changedElsewhere">;
  db: Kysely<AccountsTables>;
  pepper: string;
  now: () => number;
  pollMs: number;
  /** A key was used, at a time in Unix milliseconds. */
  onUse: (keyId: string, at: number) => void;
}

interface Known {
  caller: Caller;
  /** Unix milliseconds; Infinity: never. */
  endsAt: number;
  /** What the key is then. */
  endsAs: "expired" | "rotated";
}

/** An active key is about 300 bytes; more keys than this at once cost a look-up each now and then. */
const KNOWN_MAX = 20_000;
/** Someone who tries keys at random must not fill the memory. */
const REFUSED_MAX = 2_000;
/** Keys have 66 characters, and chosen ones 256 at most: nothing longer is looked at, or kept. */
const HEADER_LENGTH_MAX = 512;

export function createIdentify({ store, db, pepper, now, pollMs, onUse }: IdentifyOptions) {
  // By the header as it came: it is compared as a whole by hashing, which leaks nothing about single characters.
  const known = createCache<Known>(KNOWN_MAX);
  const refused = createCache<Refusal>(REFUSED_MAX);
  let polledAt = now();

  function forget(): void {
    known.clear();
    refused.clear();
  }

  function poll(at: number): void {
    // A clock that was set back must not put this off.
    if (at - polledAt < pollMs && at >= polledAt) return;
    polledAt = at;
    if (store.changedElsewhere()) forget();
  }

  /**
   * Decides in this order:
   *  1. the header was refused lately: as then;
   *  2. no key: refuse;
   *  3. not a possible key: refuse;
   *  4. ask the database.
   */
  function lookUp(header: string): Known | Refusal {
    const seen = refused.get(header);
    if (seen) return seen; // 1
    const key = keyOf(header);
    if (key === undefined) throw new ApiError("missing_api_key", MISSING); // 2
    if (header.length > HEADER_LENGTH_MAX) return "unknown"; // 3
    const shape = readKey(key);
    if (shape === "misspelled") return "misspelled";
    const found = find(key, shape === "foreign" ? undefined : shape.id); // 4
    if (typeof found === "string") refused.set(header, found);
    else known.set(header, found);
    return found;
  }

  function find(key: string, id: string | undefined): Known | Refusal {
    const digest = digestOf(pepper, key);
    const [row] = store.read(
      db
        .selectFrom("api_keys as key")
        .innerJoin("accounts as account", "account.id", "key.account_id")
        .leftJoin("trials as trial", "trial.account_id", "account.id")
        .select(["key.id", "key.digest", "key.expires_at", "key.revoked_at", "key.disabled_at", "key.grace_ends_at"])
        .select(["key.models", "key.requests_per_day"])
        .select(["account.id as account_id", "account.name", "account.role", "account.plan", "account.plan_version"])
        .select(["account.overrides", "account.disabled_at as account_disabled_at", "trial.ends_at as trial_ends_at"])
        // A key without an id in it is found by its digest, which nobody without the pepper can steer.
        .where(id === undefined ? "key.digest" : "key.id", "=", id ?? digest),
    );
    if (!row || !timingSafeEqual(Buffer.from(row.digest), Buffer.from(digest))) return "unknown";
    const never = Number.POSITIVE_INFINITY;
    const end = stateOf(row, never);
    if (end === "revoked") return end;
    if (row.account_disabled_at !== null) return "accountDisabled";
    if (end === "disabled") return end;
    const caller: Caller = Object.freeze({
      accountId: row.account_id,
      accountName: row.name,
      keyId: row.id,
      role: row.role,
      plan: Object.freeze({ id: row.plan, version: row.plan_version }),
      trialEndsAt: row.trial_ends_at,
      overrides: Object.freeze(readOverrides(row.overrides)),
      keyModels: readModels(row.models),
      keyRequestsPerDay: row.requests_per_day,
    });
    const endsAt = Math.min(row.expires_at ?? never, row.grace_ends_at ?? never);
    return { caller, endsAt, endsAs: end === "rotated" ? end : "expired" };
  }

  function identify(headers: Headers): Caller {
    const at = now();
    poll(at);
    const header = headers.get("authorization") ?? "";
    const found = known.get(header) ?? lookUp(header);
    if (typeof found === "string") throw refusal(found, header);
    if (at >= found.endsAt) throw refusal(found.endsAs, header);
    onUse(found.caller.keyId, at);
    return found.caller;
  }

  return { identify, forget };
}

/** The scheme in any case (RFC 9110, section 11.1), and spaces where people leave them. */
function keyOf(header: string): string | undefined {
  return /^\s*bearer\s+(\S(?:.*\S)?)\s*$/i.exec(header)?.[1];
}

/** OpenAI's words, as they are quoted everywhere: some clients look for them. */
const MISSING =
  "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). `oxbow keys create` makes one.";

type Refusal = keyof typeof REFUSALS;

/** What follows the masked key. From `revoked` on, they are only said to someone who holds the whole key. */
const REFUSALS = {
  misspelled: "A character of it is wrong or missing: copy it again.",
  unknown: "You can find your API keys with `oxbow keys list`, and make one with `oxbow keys create`.",
  revoked: "It has been revoked.",
  expired: "It has expired.",
  rotated: "Another key has taken its place.",
  disabled: "It is disabled.",
  accountDisabled: "Its account is disabled.",
};

function refusal(why: Refusal, header: string): ApiError {
  const masked = maskKey(keyOf(header) ?? "");
  return new ApiError("invalid_api_key", `Incorrect API key provided: ${masked}. ${REFUSALS[why]}`);
}
