// Failures on demand: models whose name says how they fail, and one header or body field that asks any model for the
// same, so that an application can try out its own handling of errors.

import {
  ApiError,
  createParser,
  ERRORS,
  type ErrorName,
  errorBody,
  inBandError,
  nullable,
  parseJsonObject,
} from "@oxbow/contract";
import Type, { type Static } from "typebox";

const Count = Type.Integer({ minimum: 0 });
const Milliseconds = Type.Number({ minimum: 0, maximum: 3_600_000 });

const FaultShape = Type.Object({
  /**
   * error      the answer is the error `error` of the contract's table, with `retryAfterMs`
   * interrupt  an error inside the stream, after `afterTokens`
   * reset      the connection is cut: after `atByte` bytes of the body, or after `afterTokens`
   * stall      nothing more comes after `afterTokens`, and the connection stays open
   * garbage    after `afterTokens`, a line that is no event and an event that is no JSON
   * empty      status 200 and no body at all
   * html       status 502 and a page for people, as broken proxies send
   */
  kind: Type.Enum(["error", "interrupt", "reset", "stall", "garbage", "empty", "html"]),
  error: Type.Optional(Type.Enum(Object.keys(ERRORS))),
  retryAfterMs: Type.Optional(Milliseconds),
  afterTokens: Type.Optional(Count),
  atByte: Type.Optional(Count),
  /** True: only the first try fails. A call is a retry when its `x-stainless-retry-count` is 1 or more. */
  once: Type.Optional(Type.Boolean()),
});
export type Fault = Static<typeof FaultShape>;

const SimulationShape = Type.Object({
  /** Milliseconds before anything is answered: not even a status comes earlier. */
  headersMs: Type.Optional(Milliseconds),
  /** Milliseconds to the first token, and between tokens, in place of the engine's own. */
  ttftMs: Type.Optional(Milliseconds),
  itlMs: Type.Optional(Milliseconds),
  /** Exact length of a free answer, in tokens. */
  tokens: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
  fault: Type.Optional(nullable(FaultShape)),
});
export type Simulation = Static<typeof SimulationShape>;

/** Under the name of the field, so that an error names it. */
const parseAsked = createParser(Type.Object({ x_simulate: Type.Optional(SimulationShape) }));

/**
 * What a call asks of the simulator itself: header `x-simulate` (JSON), or body field `x_simulate` (an object, or JSON in
 * a form) where a client cannot set headers, or the fault that the model's name stands for, or what all calls get.
 *
 * @throws ApiError naming the bad field
 */
export function simulationOf(body: Record<string, unknown>, headers: Headers, ofAll: Simulation = {}): Simulation {
  const header = headers.get("x-simulate");
  // A header is text, and so is a field of a form.
  const text = header ?? (typeof body.x_simulate === "string" ? body.x_simulate : null);
  const asked = text === null ? body.x_simulate : parseJsonObject(new TextEncoder().encode(text));
  const ofModel = { ...ofAll, ...faultOfModel(body.model) };
  if (asked === undefined && !ofModel.fault) return ofModel;
  const simulation = { ...ofModel, ...parseAsked({ x_simulate: asked }).x_simulate };
  const isRetry = Number(headers.get("x-stainless-retry-count") ?? 0) >= 1;
  return simulation.fault?.once && isRetry ? { ...simulation, fault: null } : simulation;
}

/**
 * What all calls are to get from now on, in the body of a call to `POST /simulate`; `{}`: nothing special.
 * @throws ApiError naming the bad field
 */
export function simulationOfAll(bytes: Uint8Array): Simulation {
  return parseAsked({ x_simulate: parseJsonObject(bytes) }).x_simulate ?? {};
}

const FAULTS: Record<string, Simulation> = {
  "fault-429": { fault: { kind: "error", error: "rate_limit_exceeded", retryAfterMs: 1350 } },
  "fault-quota": { fault: { kind: "error", error: "insufficient_quota" } },
  "fault-500": { fault: { kind: "error", error: "internal_error" } },
  "fault-502": { fault: { kind: "html" } },
  "fault-503": { fault: { kind: "error", error: "queue_full", retryAfterMs: 1000 } },
  "fault-504": { fault: { kind: "error", error: "engine_timeout" } },
  "fault-context": { fault: { kind: "error", error: "context_length_exceeded" } },
  "fault-midstream": { fault: { kind: "interrupt", afterTokens: 5 } },
  "fault-disconnect": { fault: { kind: "reset", afterTokens: 5 } },
  "fault-stall": { fault: { kind: "stall", afterTokens: 5 } },
  "fault-slow": { ttftMs: 5000 },
  "fault-garbage": { fault: { kind: "garbage", afterTokens: 5 } },
  "fault-empty": { fault: { kind: "empty" } },
};

/** Ids of the models that fail on purpose. Those ending in `-once` answer well when the client tries again. */
export const FAULT_MODELS: readonly string[] = Object.entries(FAULTS).flatMap(([id, { fault }]) =>
  fault ? [id, `${id}-once`] : [id],
);

function faultOfModel(model: unknown): Simulation {
  if (typeof model !== "string" || !model.startsWith("fault-")) return {};
  const once = model.endsWith("-once");
  const found = FAULTS[once ? model.slice(0, -"-once".length) : model];
  if (!found?.fault) return found ?? {};
  return { ...found, fault: { ...found.fault, once } };
}

/** The error that a fault of kind `error` stands for, in the words that clients look for. */
export function errorOfFault(fault: Fault): ApiError {
  const row = (fault.error ?? "internal_error") as ErrorName;
  const { retryAfterMs } = fault;
  if (row === "context_length_exceeded") return contextError(4096, 5000);
  const again = retryAfterMs === undefined ? "" : ` Please try again in ${retryAfterMs / 1000}s.`;
  return new ApiError(row, `${FAULT_TEXTS[row] ?? "This error was asked for."} (simulated)${again}`, { retryAfterMs });
}

const FAULT_TEXTS: Partial<Record<ErrorName, string>> = {
  rate_limit_exceeded: "Rate limit reached for requests.",
  insufficient_quota: "You exceeded your current quota, please check your plan and billing details.",
  internal_error: "The server had an error while processing your request. Sorry about that!",
  queue_full: "The engine is currently overloaded.",
};

/** The error for a prompt that does not fit, in OpenAI's words: agents shorten their history when they read its code. */
export function contextError(contextTokens: number, promptTokens: number, answerTokens = 0): ApiError {
  const limit = `This model's maximum context length is ${contextTokens} tokens. However, `;
  const text =
    answerTokens > 0
      ? `you requested ${promptTokens + answerTokens} tokens (${promptTokens} in the messages, ${answerTokens} in the completion). Please reduce the length of the messages or completion.`
      : `your messages resulted in ${promptTokens} tokens. Please reduce the length of the messages.`;
  const cause = { contextTokens, promptTokens: promptTokens + answerTokens };
  return new ApiError("context_length_exceeded", limit + text, { param: "messages", cause });
}

/** Thrown by a body whose connection is to be cut. */
export class Cut extends Error {}
/** Yielded by a body that never goes on. */
export const STALL = Symbol("stall");

/**
 * The pieces of a stream with the fault put in.
 *
 * @param pieces one per token, then what ends the stream
 * @param tokens how many of them are tokens: a fault comes before the end, however short the answer is
 */
export function* withFault(pieces: Iterable<string>, tokens: number, fault: Fault): Generator<Piece> {
  if (fault.kind === "reset" && fault.atByte !== undefined) return yield* cutAt(pieces, fault.atByte);
  const place = Math.min(fault.afterTokens ?? 0, tokens);
  let count = 0;
  for (const piece of pieces) {
    if (count++ === place) {
      if (fault.kind === "interrupt") return yield inBandError({ error: INTERRUPTED });
      if (fault.kind === "reset") throw new Cut();
      if (fault.kind === "stall") return yield STALL;
      if (fault.kind === "garbage") yield GARBAGE;
    }
    yield piece;
  }
}

export type Piece = string | Uint8Array | typeof STALL;

const INTERRUPTED = errorBody(
  new ApiError("engine_interrupted", "The engine failed in the middle of the answer. (simulated)"),
).error;
const GARBAGE = '\u0000\u0001 this is no event\n\ndata: {"id":"chatcmpl-broken","choices":[{"ind\n\n';

/** A body whose connection is cut after `bytes` bytes. */
export function* cutAt(pieces: Iterable<string>, bytes: number): Generator<Piece> {
  let left = bytes;
  for (const piece of pieces) {
    const part = Buffer.from(piece).subarray(0, left);
    left -= part.length;
    yield part;
    if (left <= 0) throw new Cut();
  }
}
