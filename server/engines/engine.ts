// One engine: something that speaks the OpenAI wire, behind a unix socket (our own workers) or a URL. Sends a call on and
// hands back the answer as it comes; what the bytes mean, and whether to try again, is decided elsewhere.

import { ApiError, COUNT_FIELD, COUNT_PATH, type PromptCount } from "@oxbow/contract";
import { type EngineAnswer, readAnswer } from "./relay.ts";

export interface Engine {
  readonly id: string;
  /** Name of its row in the kinds of data/engines.yaml. */
  readonly kind: string;
  /** What of the wire it carries: members of the contract's `FEATURES`. */
  readonly features: ReadonlySet<string>;
  readonly simulated: boolean;
  /** How many requests it works on at the same time. */
  readonly slots: number;

  /**
   * Sends a call on, body untouched. Resolves as soon as the answer's headers are there, whatever its status; the body
   * is not decompressed and not bounded in time: `signal` is the only deadline, and ends the body too.
   *
   * @param path as clients call it: `/v1/chat/completions`
   * @throws EngineUnreachable when no answer came; the signal's reason when it fired first
   */
  send(path: string, body: Uint8Array, options: SendOptions): Promise<Response>;

  /**
   * Sends a call on and reads the answer: whole, or as a stream whose events are still to come.
   *
   * @throws EngineUnreachable and the signal's reason as `send`; RelayedError and ApiError as `readAnswer`
   */
  call(path: string, body: Uint8Array, options: SendOptions): Promise<EngineAnswer>;

  /**
   * Tokens of the prompt of such a call, exactly, without making it. Takes no slot.
   *
   * @throws as `call`
   */
  count(path: string, body: Uint8Array, signal: AbortSignal): Promise<number>;
}

export interface SendOptions {
  signal: AbortSignal;
  /** Of `body`; absent: JSON. */
  contentType?: string;
  /** Added to, or instead of, what is always sent. Lower case. */
  headers?: Record<string, string>;
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

export function createEngine(
  options: Omit<Engine, "send" | "call" | "count" | "features"> & {
    features: Iterable<string>;
    address: EngineAddress;
  },
): Engine {
  const { id, kind, simulated, slots, address } = options;
  const unix = "socket" in address ? { unix: address.socket } : {};
  const base = "socket" in address ? "http://engine/v1" : address.baseUrl.replace(/\/+$/, "");

  const engine: Engine = {
    id,
    kind,
    simulated,
    slots,
    features: new Set(options.features),
    call: async (path, body, sendOptions) => readAnswer(await engine.send(path, body, sendOptions), path),
    count: async (path, body, signal) => {
      const answer = await engine.call(COUNT_PATH, body, { signal, headers: { [COUNT_FIELD]: path } });
      const said = answer.kind === "whole" ? (JSON.parse(Buffer.from(answer.bytes).toString()) as PromptCount) : null;
      if (typeof said?.prompt_tokens === "number") return said.prompt_tokens;
      throw new ApiError("engine_failed", "The engine could not count the prompt. Try again.");
    },

    async send(path, body, { signal, headers, contentType = "application/json" }) {
      try {
        return await fetch(base + path.replace(/^\/v1(?=\/)/, ""), {
          ...unix,
          method: "POST",
          body,
          // Bytes are relayed as they are: a body that fetch unpacks keeps the header fields of the packed one.
          headers: { "content-type": contentType, "accept-encoding": "identity", ...headers },
          decompress: false,
          // Else fetch gives up on a silent engine after six minutes, however long the caller is ready to wait.
          timeout: false,
          // A redirect would repeat the prompt to a host that nobody configured.
          redirect: "manual",
          signal,
        });
      } catch (cause) {
        if (signal.aborted) throw signal.reason;
        throw new EngineUnreachable(id, cause);
      }
    },
  };
  return engine;
}
