// What a failed call says: of its engine, and of whether the same call may be sent again.

import { ApiError, ERRORS, RelayedError } from "@oxbow/contract";
import { type Engine, EngineStatus, EngineUnreachable, type Outcome } from "../fleet/fleet.ts";

/**
 * Whether the same call may be sent again: to another engine only, to any, to any however often as long as its class may
 * wait, or in a moment and not later.
 */
export type Again = "never" | "elsewhere" | "anywhere" | "later" | "soon";

export function repeatsAs(error: unknown, fate: Outcome | null, engine: Engine): Again {
  // Nobody listens yet, or a worker that is still loading does: nothing of the call was seen.
  if (isBetweenLives(error)) return "later";
  // It was cut off and may have seen the call: once more, and not for ever.
  if (error instanceof EngineUnreachable) return "anywhere";
  if (engine.simulated) return "never";
  switch (fate?.kind) {
    case "unreachable":
      return "anywhere";
    case "busy":
      return "soon";
    case "silent":
      return "elsewhere";
    case "failed":
      return REPEATED.has(statusOf(error) ?? 0) ? "elsewhere" : "never";
    default:
      return "never";
  }
}

/** Statuses after which another engine may do better; what comes with 500 comes again. */
const REPEATED = new Set([502, 504]);

/** What a failure says of its engine; null: nothing. */
export function fateOf(error: unknown): Outcome | null {
  if (error instanceof EngineUnreachable) return { kind: "unreachable" };
  if (error instanceof RelayedError) return fateOfStatus(error.status, waitMsOf(error.headers));
  if (!(error instanceof ApiError)) return null;
  switch (error.row) {
    case "engine_timeout":
      return { kind: "silent" };
    case "queue_full":
    case "model_not_ready":
      return { kind: "busy", retryAfterMs: waitMsOf(error.headers) };
    case "engine_failed":
    case "engine_interrupted":
      return isCut(error.cause) ? { kind: "unreachable" } : { kind: "failed" };
    default:
      return null;
  }
}

function fateOfStatus(status: number, retryAfterMs: number | undefined): Outcome {
  if (status === 429 || status === 503) return { kind: "busy", retryAfterMs };
  return { kind: status >= 500 ? "failed" : "ok" };
}

function waitMsOf(headers: Record<string, string>): number | undefined {
  const ms = Number(headers["retry-after-ms"] ?? Number(headers["retry-after"]) * 1000);
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

/** A status that came, or the one that is told in its place. */
function statusOf(error: unknown): number | null {
  if (error instanceof RelayedError) return error.status;
  if (!(error instanceof ApiError)) return null;
  return error.cause instanceof EngineStatus ? error.cause.status : null;
}

/** The connection ended; what an engine says in its own words has no such code. */
function isCut(cause: unknown): boolean {
  for (let at = cause; at instanceof Error; at = at.cause) {
    if (typeof (at as { code?: unknown }).code === "string") return true;
  }
  return false;
}

function isBetweenLives(error: unknown): boolean {
  if (error instanceof ApiError) return error.row === "model_not_ready";
  if (error instanceof RelayedError) return error.body.error.code === ERRORS.model_not_ready.code;
  return error instanceof EngineUnreachable && (error.cause as { code?: unknown } | undefined)?.code !== "ECONNRESET";
}
