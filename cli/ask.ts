// Asks a running server over its API, with the caller's key.

import type { ErrorBody } from "@oxbow/contract";
import { baseUrlOf } from "./base-url.ts";
import { CommandError, EXIT } from "./exit.ts";
import type { Env } from "./home.ts";

export interface Asker {
  /** Base URL. */
  url?: string;
  key?: string;
}

/**
 * The entries of a list that the server has.
 * @param path under /v1: `/models`
 * @throws CommandError when there is no key, nobody answers, or the server refuses
 */
export async function askList<T>(path: string, asker: Asker, env: Env): Promise<T[]> {
  const key = asker.key || env.OXBOW_API_KEY;
  if (!key) throw new CommandError("Set OXBOW_API_KEY, or give --key. `oxbow keys create` makes a key.");
  const baseUrl = await baseUrlOf(asker.url, env);
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(baseUrl + path, {
      headers: { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.json().catch(() => undefined);
  } catch {
    const text = `No server answers at ${baseUrl}. Start one with \`npm start\`, or say where it is with --url.`;
    throw new CommandError(text, EXIT.unreachable);
  }
  if (response.ok && isList<T>(body)) return body.data;
  if (isError(body)) throw new CommandError(`The server refused (${response.status}): ${body.error.message}`);
  throw new CommandError(`What answers at ${baseUrl} is no Oxbow server (${response.status}).`);
}

const TIMEOUT_MS = 10_000;

function isList<T>(body: unknown): body is { data: T[] } {
  return typeof body === "object" && body !== null && "data" in body && Array.isArray(body.data);
}

function isError(body: unknown): body is ErrorBody {
  if (typeof body !== "object" || body === null || !("error" in body)) return false;
  const { error } = body;
  return typeof error === "object" && error !== null && "message" in error;
}
