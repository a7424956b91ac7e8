// Asks a running server over its API, with the caller's key.

import type { ErrorBody, ModelObject } from "@oxbow/contract";
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
  const key = keyOf(asker, env);
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
    throw unreachable(baseUrl);
  }
  if (response.ok && isList<T>(body)) return body.data;
  if (isError(body)) throw new CommandError(`The server refused (${response.status}): ${body.error.message}`);
  throw new CommandError(`What answers at ${baseUrl} is no Oxbow server (${response.status}).`);
}

const TIMEOUT_MS = 10_000;

function keyOf(asker: Asker, env: Env): string {
  const key = asker.key || env.OXBOW_API_KEY;
  if (key) return key;
  throw new CommandError("Set OXBOW_API_KEY, or give --key. `oxbow keys create` makes a key.");
}

function unreachable(baseUrl: string): CommandError {
  const text = `No server answers at ${baseUrl}. Start one with \`npm start\`, or say where it is with --url.`;
  return new CommandError(text, EXIT.unreachable);
}

function isList<T>(body: unknown): body is { data: T[] } {
  return typeof body === "object" && body !== null && "data" in body && Array.isArray(body.data);
}

function isError(body: unknown): body is ErrorBody {
  if (typeof body !== "object" || body === null || !("error" in body)) return false;
  const { error } = body;
  return typeof error === "object" && error !== null && "message" in error;
}

/** A call to a model may take as long as the model does. */
const CALL_MS_MAX = 600_000;

/**
 * Posts one call, and reads its answer.
 *
 * @param path under /v1: `/embeddings`
 * @param body a form, or what is sent as JSON
 * @throws CommandError as `askList`
 */
export async function askCall<T>(path: string, body: FormData | object, asker: Asker, env: Env): Promise<T> {
  const response = await postCall(path, body, asker, env);
  const text = await textOf(response);
  const answer: unknown = jsonIn(text);
  if (typeof answer === "object" && answer !== null) return answer as T;
  throw new CommandError(`What answers at ${response.url} is no Oxbow server (${response.status}).`);
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // whoever asked for JSON says what it means
  }
}

/** All of an answer. @throws CommandError when it breaks off */
export async function textOf(response: Response): Promise<string> {
  return await response.text().catch((cause: unknown) => {
    throw brokenOff(cause);
  });
}

/** An answer as it comes. @throws CommandError when it breaks off */
export async function* piecesOf(response: Response): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body ?? [];
  } catch (cause) {
    throw brokenOff(cause);
  }
}

function brokenOff(cause: unknown): CommandError {
  // What the caller broke off himself.
  if (cause instanceof CommandError) return cause;
  const late = cause instanceof Error && cause.name === "TimeoutError";
  return new CommandError(late ? LATE : "The server broke off before the end of its answer. Try again.");
}

const LATE = `The server has not ended its answer within ${CALL_MS_MAX / 60_000} minutes.`;

/** The same for answers that are no JSON. @throws CommandError as `askList` */
export async function postCall(
  path: string,
  body: FormData | object,
  asker: Asker,
  env: Env,
  signal?: AbortSignal,
): Promise<Response> {
  const timeout = AbortSignal.timeout(CALL_MS_MAX);
  const key = keyOf(asker, env);
  const baseUrl = await baseUrlOf(asker.url, env);
  const form = body instanceof FormData;
  const headers = { authorization: `Bearer ${key}`, ...(form ? {} : { "content-type": "application/json" }) };
  const init: RequestInit = {
    method: "POST",
    headers,
    body: form ? body : JSON.stringify(body),
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  };
  const response = await fetch(baseUrl + path, init).catch((cause: { name?: string; code?: string }) => {
    if (signal?.aborted) throw signal.reason;
    // Somebody was there, and is gone.
    if (cause.name === "TimeoutError" || cause.code === "ECONNRESET") throw brokenOff(cause);
    throw unreachable(baseUrl);
  });
  if (response.ok) return response;
  const refusal: unknown = await response.json().catch(() => undefined);
  if (isError(refusal)) throw new CommandError(`The server refused (${response.status}): ${refusal.error.message}`);
  throw new CommandError(`What answers at ${baseUrl} is no Oxbow server (${response.status}).`);
}

/**
 * The model to ask: the one that was named, else the first that can do it, a warm one if there is one.
 * @throws CommandError when no model of the server can
 */
export async function modelFor(ability: string, named: string | undefined, asker: Asker, env: Env): Promise<string> {
  if (named !== undefined) return named;
  const able = (await askList<ModelObject>("/models", asker, env)).filter((model) => {
    return model.capabilities.includes(ability);
  });
  const found = able.find(({ state }) => state === "warm") ?? able[0];
  if (found) return found.id;
  throw new CommandError(`No model of the server can do that (${ability}). \`oxbow models\` shows what there is.`);
}
