// One engine: something that speaks the OpenAI wire, behind a unix socket (our own workers) or a URL. Sends a call on and
// hands back the answer as it comes; what the bytes mean, and whether to try again, is decided elsewhere.

import { ApiError, COUNT_FIELD, COUNT_PATH, type PromptCount, readJson } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import type { EngineAnswer } from "./answer.ts";
import { createDialect } from "./dialect.ts";
import { readAnswer } from "./relay.ts";
import type { SendOptions } from "./send-options.ts";

export interface Engine {
  readonly id: string;
  /** Name of its row in the kinds of data/engines.yaml. */
  readonly kind: string;
  /** What of the wire it carries: members of the contract's `FEATURES`. */
  readonly features: ReadonlySet<string>;
  readonly simulated: boolean;
  /** How many requests it works on at the same time. */
  readonly slots: number;
  /** How its kind leaves the wire; null for our own workers, which keep to it. */
  readonly remote: RemoteKind | null;

  /** The name its server knows one of our models by. */
  nameOf(modelId: string): string;

  /**
   * Sends a call on, body untouched. Resolves as soon as the answer's headers are there, whatever its status; the body
   * is not decompressed and not bounded in time: `signal` is the only deadline, and ends the body too.
   *
   * @param path as clients call it: `/v1/chat/completions`
   * @throws EngineUnreachable when no answer came; the signal's reason when it fired first
   */
  send(path: string, body: Uint8Array, options: SendOptions): Promise<Response>;

  /**
   * Sends a call on and reads the answer: whole, or as a stream whose events are still to come. For a remote engine it
   * says the call in the words of its kind, and puts right on the way back what the kind's row asks for.
   *
   * @throws EngineUnreachable and the signal's reason as `send`; RelayedError and ApiError as `readAnswer`
   */
  call(path: string, body: Uint8Array, options: SendOptions): Promise<EngineAnswer>;

  /**
   * Tokens of the prompt of such a call, exactly, without making it. Takes no slot. Null: its kind cannot, or this server,
   * or not for this endpoint.
   *
   * @throws as `call`
   */
  count: ((path: string, body: Uint8Array, signal: AbortSignal) => Promise<number | null>) | null;

  /**
   * Asks its server for something beside the wire: health, metrics, sleep.
   *
   * @param path from the server's root, or under /v1
   * @throws as `send`
   */
  ask(method: "GET" | "POST", path: string, signal: AbortSignal): Promise<Response>;

  /** Remembers what a probe found: from here on calls say what its server understands. */
  learn(found: { prioritySupported: boolean }): void;
}

/** Where an engine listens: a unix socket, or a base URL that ends in `/v1` as SDKs take it. */
export type EngineAddress = { socket: string } | { baseUrl: string };

/** Nobody answered: refused, no socket, reset before the headers. Nothing of an answer was seen. */
export class EngineUnreachable extends Error {
  override readonly name = "EngineUnreachable";
  readonly engine: string;

  constructor(engine: string, cause: unknown) {
    super(`The engine ${engine} did not answer: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.engine = engine;
  }
}

export interface EngineOptions {
  id: string;
  kind: string;
  features: Iterable<string>;
  simulated: boolean;
  slots: number;
  address: EngineAddress;
  /** For engines that are servers of somebody else. */
  remote?: RemoteKind | undefined;
  /** Our ids of models and what its server calls them, where that differs. */
  names?: ReadonlyMap<string, string>;
  /** Sent as a bearer token. Never logged. */
  apiKey?: string | undefined;
  /** Ids of the classes of callers, the first goes first. */
  classes?: readonly string[];
}

export function createEngine(options: EngineOptions): Engine {
  const { id, kind, simulated, slots, address, remote = null, names = new Map<string, string>() } = options;
  const unix = "socket" in address ? { unix: address.socket } : {};
  const base = "socket" in address ? "http://engine/v1" : address.baseUrl.replace(/\/+$/, "");
  const root = base.replace(/\/v1$/, "");
  const common = {
    ...unix,
    // Bytes are relayed as they are: a body that fetch unpacks keeps the header fields of the packed one.
    decompress: false,
    // Else fetch gives up on a silent engine after six minutes, however long the caller is ready to wait.
    timeout: false,
    // A redirect would repeat the prompt, and the key, to a host that nobody configured.
    redirect: "manual",
    ...(remote?.keepAlive === false ? { keepalive: false } : {}),
  } as const;
  const always: Record<string, string> = { "accept-encoding": "identity" };
  if (options.apiKey) always.authorization = `Bearer ${options.apiKey}`;
  const dialect = remote && createDialect(remote, { names, classes: options.classes ?? [] });

  async function reach(url: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(url, { ...common, ...init, signal });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw new EngineUnreachable(id, cause);
    }
  }

  const engine: Engine = {
    id,
    kind,
    simulated,
    slots,
    remote,
    features: new Set(options.features),
    nameOf: (modelId) => names.get(modelId) ?? modelId,

    async call(path, body, sendOptions) {
      if (!dialect) return readAnswer(await engine.send(path, body, sendOptions), path);
      const said = dialect.say(path, body, sendOptions);
      const headers = { ...sendOptions.headers, ...said.headers };
      return dialect.read(await engine.send(path, said.body, { ...sendOptions, headers }), said);
    },

    count: remote === null ? countByWorker : remote.count ? countByServer : null,

    send: (path, body, { signal, headers, contentType = "application/json" }) =>
      reach(
        base + path.replace(/^\/v1(?=\/)/, ""),
        { method: "POST", body, headers: { "content-type": contentType, ...always, ...headers } },
        signal,
      ),

    ask: (method, path, signal) =>
      reach(
        (/^\/v1(?=\/)/.test(path) ? base : root) + path.replace(/^\/v1(?=\/)/, ""),
        { method, headers: always },
        signal,
      ),

    learn: (found) => dialect?.learn(found),
  };

  async function countByWorker(path: string, body: Uint8Array, signal: AbortSignal): Promise<number> {
    const answer = await engine.call(COUNT_PATH, body, { signal, headers: { [COUNT_FIELD]: path } });
    const said = answer.kind === "whole" ? (JSON.parse(Buffer.from(answer.bytes).toString()) as PromptCount) : null;
    if (typeof said?.prompt_tokens === "number") return said.prompt_tokens;
    throw new ApiError("engine_failed", "The engine could not count the prompt. Try again.");
  }

  async function countByServer(path: string, body: Uint8Array, signal: AbortSignal): Promise<number | null> {
    const rule = remote!.count!;
    const call = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    const questions = questionsOf(path, call);
    let sum = 0;
    // Some at a time: a call may hold two thousand texts.
    for (let at = 0; at < questions.length; at += QUESTIONS_AT_ONCE) {
      const some = questions.slice(at, at + QUESTIONS_AT_ONCE);
      const counts = await Promise.all(some.map((question) => askCount(rule, call.model, question, signal)));
      if (!counts.every((count) => count !== null)) return null;
      sum += counts.reduce((total, count) => total + count, 0);
    }
    return sum;
  }

  async function askCount(
    rule: NonNullable<RemoteKind["count"]>,
    model: unknown,
    question: object | number,
    signal: AbortSignal,
  ): Promise<number | null> {
    if (typeof question === "number") return question;
    const bytes = new TextEncoder().encode(JSON.stringify({ ...question, model: engine.nameOf(String(model)) }));
    const answer = await reach(
      root + rule.path,
      { method: "POST", body: bytes, headers: { "content-type": "application/json", ...always } },
      signal,
    );
    if (!answer.ok) void answer.body?.cancel().catch(() => {}); // nothing of it is of use
    const said = answer.ok ? await readJson(answer, COUNT_BYTES_MAX).catch(() => null) : null;
    const counted = (said as Record<string, unknown> | null)?.[rule.field];
    return typeof counted === "number" ? counted : null;
  }
  return engine;
}

const QUESTIONS_AT_ONCE = 16;
/** Some servers tell the tokens beside their number: so much is a prompt of some millions. */
const COUNT_BYTES_MAX = 32 * 1024 * 1024;

/** What a server is asked to count for a call: a number where the call brings tokens, which need no counting. */
function questionsOf(path: string, { messages, tools, prompt, input }: Record<string, unknown>): (object | number)[] {
  if (path === "/v1/chat/completions") return [{ messages, tools }];
  if (path !== "/v1/embeddings") return [{ prompt }];
  const inputs = Array.isArray(input) && typeof input[0] !== "number" ? input : [input];
  return inputs.map((each) => (Array.isArray(each) ? each.length : { prompt: each }));
}
