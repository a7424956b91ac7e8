// What an engine's refusal means for the caller. Our own workers speak in our envelope and are passed on; servers of
// others say the same things in many forms and words, which the rows of their kinds know (data/engines.yaml).

import { ApiError, type ErrorBody, type ErrorName, engineFailed, RelayedError, readUpTo } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";

/** More than any error's body means to hold. */
const ERROR_BYTES_MAX = 64 * 1024;

const PASSED_ON = new Set([400, 404, 408, 413, 422, 429, 500, 502, 503, 504]);
const PASSED_FIELDS = ["retry-after", "retry-after-ms", "x-should-retry", "x-oxbow-simulated"];

/** Why the engine has failed, when it has said so by a status. */
export class EngineStatus extends Error {
  override readonly name = "EngineStatus";
  readonly status: number;

  constructor(status: number) {
    super(`the engine answered with status ${status}`);
    this.status = status;
  }
}

/** The error for an answer of our own worker that is not ok. */
export async function readRefusal(response: Response): Promise<Error> {
  const { status } = response;
  const body = envelopeOf(await readText(response, ERROR_BYTES_MAX));
  // 401 and 403 are about our own credentials with the engine: not the caller's affair, nor his fault.
  if (!body || !PASSED_ON.has(status)) return engineFailed(new EngineStatus(status));
  return new RelayedError(status, body, passedFields(response));
}

/** The error that an error event carries. Its type tells whether it is the caller's fault: no status came with it. */
export function errorOf(json: string): Error {
  const body = envelopeOf(json);
  if (!body) return engineFailed(new Error("the engine sent an error that is none"));
  return new RelayedError(body.error.type === "invalid_request_error" ? 400 : 502, body);
}

/** What of a call its refusals are read by. */
interface About {
  model: string | null;
  name: string | null;
  path: string;
}

/** The error for an answer of a remote engine that is not ok. */
export async function readRemoteRefusal(response: Response, remote: RemoteKind, about: About): Promise<Error> {
  const text = await readText(response, ERROR_BYTES_MAX);
  return remoteError(parse(text) ?? text, response.status, remote, about, passedFields(response));
}

/**
 * The error that a document of a remote engine tells: in its envelope, flat, as FastAPI's `detail`, or as bare text.
 *
 * @param status null: none came, it stands in a stream or in an answer with status 200
 */
export function remoteError(
  document: unknown,
  status: number | null,
  remote: RemoteKind,
  about: About,
  headers: Record<string, string> = {},
): Error {
  const told = toldIn(document);
  const known = told === null ? null : meaningOf(told, remote, about);
  if (known) return known;
  const at = status ?? statusIn(document) ?? 502;
  // Its limits for us, not the caller's own: but he is the one who has to wait.
  if (at === 429) return new RelayedError(429, LIMITED, headers);
  if (told === null || !CALLERS_FAULT.has(at)) {
    const cause = new EngineStatus(at);
    const row = FAILURES[at] ?? "engine_failed";
    return new ApiError(row, FAILURE_TEXTS[row] ?? "The engine failed to answer. Try again.", {
      cause,
      headers: headers["retry-after"] ? { "retry-after": headers["retry-after"] } : undefined,
    });
  }
  const { code, param } = partsOf(document);
  const error = { message: inOurWords(told, about), type: "invalid_request_error", param, code };
  return new RelayedError(at === 413 ? 413 : 400, { error });
}

/** Statuses by which an engine blames the call. The others blame itself, or us: a wrong key, a model it does not have. */
const CALLERS_FAULT = new Set([400, 413, 422]);
const FAILURES: Record<number, ErrorName> = { 503: "queue_full", 504: "engine_timeout" };
const FAILURE_TEXTS: Partial<Record<ErrorName, string>> = {
  queue_full: "The engine is overloaded. Try again.",
  engine_timeout: "The engine did not answer in time. Try again.",
  engine_failed: "The engine failed to answer. Try again.",
  model_not_ready: "The engine is still loading the model. Try again.",
};
const LIMITED: ErrorBody = {
  error: {
    message: "The engine takes no more requests at this moment. Try again.",
    type: "requests",
    param: null,
    code: "rate_limit_exceeded",
  },
};

/** Null: no row of the kind knows these words. */
function meaningOf(told: string, remote: RemoteKind, about: About): ApiError | null {
  for (const { text, as } of remote.refusals) {
    const found = new RegExp(text, "is").exec(told);
    if (!found) continue;
    if (as === "context_length_exceeded") return contextError(found.groups ?? {}, about);
    return new ApiError(as, FAILURE_TEXTS[as] ?? inOurWords(told, about));
  }
  return null;
}

/** In OpenAI's words, which agents look for; the numbers where the engine told them. */
function contextError({ limit, tokens }: Record<string, string | undefined>, { path }: About): ApiError {
  const param = path === "/v1/chat/completions" ? "messages" : path === "/v1/completions" ? "prompt" : "input";
  const bound = limit ? `This model's maximum context length is ${limit} tokens.` : "The model's context is too small.";
  const asked = tokens ? ` However, your ${param} resulted in ${tokens} tokens.` : "";
  const text = `${bound}${asked} Please reduce the length of the ${param}.`;
  return new ApiError("context_length_exceeded", text, { param });
}

const TEXT_LENGTH_MAX = 2_000;

/** Its server's name of the model is no name for a caller. */
function inOurWords(told: string, { model, name }: About): string {
  const text = model && name && name !== model ? told.replaceAll(name, model) : told;
  return text.slice(0, TEXT_LENGTH_MAX);
}

/** The words of an error, whichever form it has; null when there are none. */
function toldIn(document: unknown): string | null {
  if (typeof document === "string")
    return document.trim() === "" || document.includes("<html") ? null : document.trim();
  const { error, message, detail } = (document ?? {}) as Record<string, unknown>;
  for (const part of [error, (error as { message?: unknown } | null)?.message, message, detail]) {
    if (typeof part === "string" && part !== "") return part;
  }
  // FastAPI: a list of what is wrong with which field.
  const first = Array.isArray(detail) ? (detail[0] as { msg?: unknown; loc?: unknown } | null) : null;
  return typeof first?.msg === "string" ? `${fieldOf(first.loc) ?? "The body"}: ${first.msg}` : null;
}

function partsOf(document: unknown): { code: string | null; param: string | null } {
  const { error, detail } = (document ?? {}) as Record<string, unknown>;
  const inside = (typeof error === "object" && error !== null ? error : document) as Record<string, unknown> | string;
  if (typeof inside === "string") return { code: null, param: null };
  const first = Array.isArray(detail) ? (detail[0] as { loc?: unknown } | null) : null;
  const param = typeof inside.param === "string" ? inside.param : fieldOf(first?.loc);
  // A number is the status over again.
  return { code: typeof inside.code === "string" && !/^\d+$/.test(inside.code) ? inside.code : null, param };
}

/** `["body", "messages", 0]` as `messages[0]`. */
function fieldOf(loc: unknown): string | null {
  if (!Array.isArray(loc)) return null;
  const parts = loc.filter((part, index) => index > 0 || part !== "body");
  return parts.length === 0
    ? null
    : parts
        .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
        .join("")
        .replace(/^\./, "");
}

/** A code that is a status: flat errors and error events have no other. */
function statusIn(document: unknown): number | null {
  const { error, code } = (document ?? {}) as { error?: { code?: unknown; type?: unknown } | null; code?: unknown };
  const said = Number(typeof error === "object" && error !== null ? error.code : code);
  if (Number.isInteger(said) && said >= 400 && said <= 599) return said;
  return /invalid_request_error|BadRequestError/.test(String(error?.type ?? "")) ? 400 : null;
}

function passedFields(response: Response): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of PASSED_FIELDS) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}

function envelopeOf(text: string): ErrorBody | null {
  const error = (parse(text) as { error?: unknown } | null)?.error;
  if (typeof error !== "object" || error === null) return null;
  const { message, type, param, code } = error as Record<string, unknown>;
  if (typeof message !== "string") return null;
  return {
    error: {
      message,
      type: typeof type === "string" ? type : "server_error",
      param: typeof param === "string" ? param : null,
      code: typeof code === "string" ? code : null,
    },
  };
}

/** Null: it is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not JSON, so not an envelope: the caller says "failed" in our own words
  }
}

/** The beginning of an answer; empty when it breaks off: its status is known and says enough. */
async function readText(response: Response, bytesMax: number): Promise<string> {
  const { bytes } = await readUpTo(response, bytesMax).catch(() => ({ bytes: new Uint8Array() }));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}
