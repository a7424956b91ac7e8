// From the Authorization header to the caller. The path of every request, so what was looked up once stays in memory,
// good keys and bad ones, until something changes.

import { timingSafeEqual } from "node:crypto";
import { ApiError } from "@oxbow/contract";
import type { Kysely } from "kysely";
import type { Store } from "../store/store.ts";
import { createCache } from "./cache.ts";
import { maskKey, readKey } from "./key.ts";
import type { AccountsTables } from "./migrations.ts";
import { digestOf } from "./pepper.ts";

/** Who sends a request. Shared between requests, so frozen. */
export interface Caller {
  accountId: string;
  accountName: string;
  keyId: string;
  plan: { id: string; version: number };
  role: "admin" | "member";
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
  /** Infinity: never. */
  expiresAt: number;
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
        .selectFrom("api_keys")
        .innerJoin("accounts", "accounts.id", "api_keys.account_id")
        .select(["api_keys.id", "digest", "expires_at", "revoked_at", "account_id", "accounts.name"])
        .select(["role", "plan", "plan_version", "disabled_at"])
        // A key without an id in it is found by its digest, which nobody without the pepper can steer.
        .where(id === undefined ? "digest" : "api_keys.id", "=", id ?? digest),
    );
    if (!row || !timingSafeEqual(Buffer.from(row.digest), Buffer.from(digest))) return "unknown";
    if (row.revoked_at !== null) return "revoked";
    if (row.disabled_at !== null) return "disabled";
    const caller: Caller = Object.freeze({
      accountId: row.account_id,
      accountName: row.name,
      keyId: row.id,
      plan: Object.freeze({ id: row.plan, version: row.plan_version }),
      role: row.role,
    });
    return { caller, expiresAt: row.expires_at ?? Number.POSITIVE_INFINITY };
  }

  function identify(headers: Headers): Caller {
    const at = now();
    poll(at);
    const header = headers.get("authorization") ?? "";
    const found = known.get(header) ?? lookUp(header);
    if (typeof found === "string") throw refusal(found, header);
    if (at >= found.expiresAt) throw refusal("expired", header);
    onUse(found.caller.keyId, at);
    return found.caller;
  }

  return { identify, forget };
}

/** The scheme in any case, and spaces where people leave them: contract/NOTES.md §1, Auth. */
function keyOf(header: string): string | undefined {
  return /^\s*bearer\s+(\S(?:.*\S)?)\s*$/i.exec(header)?.[1];
}

/** OpenAI's words, as they are quoted everywhere: some clients look for them. */
const MISSING =
  "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). `oxbow keys create` makes one.";

type Refusal = keyof typeof REFUSALS;

/** What follows the masked key. The last three are only said to someone who holds the whole key. */
const REFUSALS = {
  misspelled: "A character of it is wrong or missing: copy it again.",
  unknown: "You can find your API keys with `oxbow keys list`, and make one with `oxbow keys create`.",
  revoked: "It has been revoked.",
  expired: "It has expired.",
  disabled: "Its account is disabled.",
};

function refusal(why: Refusal, header: string): ApiError {
  const masked = maskKey(keyOf(header) ?? "");
  return new ApiError("invalid_api_key", `Incorrect API key provided: ${masked}. ${REFUSALS[why]}`);
}
