// The walk that every endpoint with an engine behind it takes: a ticket, the engine's answer, the ledger, and back to the
// caller. From the ticket on, the settlement ends the call on every way out.

import { ApiError, engineFailed, RelayedError, USAGE_FIELD } from "@oxbow/contract";
import type { Caller } from "../accounts/accounts.ts";
import type { Ask, Measure, Ticket } from "../admission/admission.ts";
import type { Model } from "../config.ts";
import type { Engine, EngineAnswer, EventStream, Frame, Outcome, Served } from "../fleet/fleet.ts";
import { LedgerUnavailable, type StoredAnswer } from "../ledger/ledger.ts";
import { affinityOf } from "./affinity.ts";
import { notFound } from "./catalogue.ts";
import { answerHeaders, type Exchange } from "./exchange.ts";
import { withFailover } from "./failover.ts";
import { bytesFor, noteDropped, PRIVATE_FIELDS } from "./forward.ts";
import { HangUp } from "./hang-up.ts";
import { type Claim, claimKey, isClaim, keptOf, replay } from "./idempotency.ts";
import { conclude } from "./record.ts";
import { CallSettlement, type Settlement } from "./settle.ts";
import { bytesWire, type Course, sendStream, type Translation } from "./stream.ts";

export interface RelayCall {
  model: Model;
  /** What serves it. */
  engine: Served;
  /** Path at the engine: `/v1/chat/completions`. */
  path: string;
  /** The body as it came; a form as `writeForm` wrote it. */
  received: Uint8Array;
  /** Of `received`, when it is not JSON. Such a body names the model by its id, and holds nothing that is not to be sent. */
  contentType?: string;
  body: Record<string, unknown>;
  /**
   * What has to be done before the call stands in line, and may take its time. Not done for a stored answer, nor for a
   * caller who is beyond his caps.
   */
  prepare?: ((signal: AbortSignal) => Promise<Prepared>) | undefined;
  /** Whether a stream was asked for: else nothing comes before everything is there. */
  stream: boolean;
  /** How many choices make the answer. */
  choices: number;
  /** Answers that the engine makes: with `best_of` more than `choices`. */
  generations: number;
  /** Tokens of the prompt, or a number that is not below them. */
  inputTokens: number;
  /** Tokens of a choice that were asked for; null: as many as there are. */
  outputTokens: number | null;
  /** The field that holds the prompt. */
  inputField: string;
  /** The field that limits the answer; null: it is not made of tokens. */
  outputField: string | null;
  /** What the plan may limit besides tokens, as far as the body says it. */
  measures?: readonly Measure[];
  /** For an endpoint whose answers have another form than the engine's. Without it the engine's bytes pass as they are. */
  translation?: Translation;
  /** What becomes of a whole answer before it is counted, when that takes time. A failure of it is one of the call. */
  finish?: (bytes: Uint8Array, signal: AbortSignal) => Promise<Finished>;
}

export interface Finished {
  bytes: Uint8Array;
  contentType: string;
  headers?: Record<string, string>;
}

export interface Prepared {
  /** Fields to send in place of the caller's; null: none. */
  instead: Record<string, unknown> | null;
  /** To be sent in place of the body: a form of `writeForm`. */
  form?: { bytes: Uint8Array; contentType: string };
  /** What was found that the plan may limit besides tokens. */
  measures?: readonly Measure[];
  /** Header fields for our own workers. */
  headers?: Record<string, string>;
}

/**
 * What serves `model` here for this caller, whether or not it is free: of a model that is split, the caller's side.
 * @param body may hold what a side goes by; null: the call names its model in another form, and is not split
 * @throws ApiError `model_not_found`
 */
export function engineOf(exchange: Exchange, model: Model, body: Record<string, unknown> | null = null): Served {
  const { fleet, traffic, catalogue } = exchange.rooms;
  const accountId = exchange.caller?.accountId;
  const hint = " It is in the catalogue, but no engine here serves it.";
  exchange.record.model = model.id;
  const side = body && traffic.sideOf(model.id, accountId ?? "", body);
  const served = side && fleet.serves(side.model, accountId);
  // A side that nobody serves takes none of its callers along.
  if (side === null || served === null) return fleet.serves(model.id, accountId) ?? notFound(model.id, hint);
  exchange.record.side = side.name;
  exchange.within = side.within;
  if (side.model !== model.id) {
    exchange.served = catalogue.find(side.model) ?? null;
    exchange.record.servedModel = side.model;
  }
  return served;
}

/**
 * Sends `call` on and returns the answer, whole or streamed, as the engine gave it; or the stored one, when the call has
 * been answered before under its `Idempotency-Key`.
 */
export async function relayCall(exchange: Exchange, call: RelayCall): Promise<Response> {
  const { ledger } = exchange.rooms;
  const more: Record<string, string> = call.engine.simulated ? { "x-oxbow-simulated": "true" } : {};
  const asked = claimKey(exchange, call.received);
  const found = asked && (await asked);
  if (found !== null && !isClaim(found)) {
    exchange.record.outcome = "replayed";
    return replay(exchange, found, more);
  }
  if (!ledger.healthy()) {
    found?.free();
    throw new LedgerUnavailable("it said so before");
  }
  const hangUp = new HangUp(exchange.request.signal);
  const opening = open(exchange, call, hangUp, found, more);
  return call.stream
    ? answerStream(exchange, call, hangUp, opening, more)
    : answerWhole(exchange, call, hangUp, opening, more);
}

async function answerWhole(
  exchange: Exchange,
  call: RelayCall,
  hangUp: HangUp,
  opening: Promise<Opened>,
  more: Record<string, string>,
): Promise<Response> {
  let opened: Opened;
  try {
    opened = await opening;
  } finally {
    hangUp.clear();
    exchange.hold?.release();
  }
  const { answer, settlement, units } = opened;
  if (answer.kind !== "whole") return sendOpened(exchange, call, hangUp, opening, opened, more);
  let finished: Finished;
  let kept: StoredAnswer | null = null;
  try {
    finished = call.finish ? await call.finish(answer.bytes, exchange.request.signal) : translated(call, answer);
    if (settlement.keeps) kept = await keptOf(finished.contentType, finished.bytes);
  } catch (error) {
    settlement.failed(error);
    throw error;
  }
  const { bytes, contentType } = finished;
  await settlement.complete(answer.usage, kept);
  if (settlement.keeps && kept === null) more["x-oxbow-answer-kept"] = "false";
  more["x-oxbow-counted"] = String(units);
  const headers = answerHeaders(exchange, { "content-type": contentType, ...finished.headers, ...more });
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers });
}

/** A whole answer in the endpoint's form. */
function translated({ translation }: RelayCall, { bytes, contentType }: EngineAnswer & { kind: "whole" }): Finished {
  return { bytes: translation?.whole(bytes) ?? bytes, contentType };
}

/**
 * The beginning of the answer is taken before the status line goes out, so that an engine that fails at once gets its own
 * status; but not for so long that the caller gives up: then he gets his headers, and comments until it comes.
 */
async function answerStream(
  exchange: Exchange,
  call: RelayCall,
  hangUp: HangUp,
  opening: Promise<Opened>,
  more: Record<string, string>,
): Promise<Response> {
  // Once there is an answer, or none will come, nobody needs the body any more.
  const release = () => exchange.hold?.release();
  opening.then(release, release);
  const opened = await inTime(opening, exchange.rooms.limits.keepaliveMs);
  // An engine that answers a stream with a whole document has made an error, or an answer.
  if (opened?.answer.kind === "whole") return answerWhole(exchange, call, hangUp, opening, more);
  return sendOpened(exchange, call, hangUp, opening, opened, more);
}

/** @param opened null: it has not begun yet */
function sendOpened(
  exchange: Exchange,
  { model, choices, translation }: RelayCall,
  hangUp: HangUp,
  opening: Promise<Opened>,
  opened: Opened | null,
  more: Record<string, string>,
): Response {
  more["x-oxbow-units"] = String(model.weight);
  exchange.record.stream = true;
  const course = courseOf(exchange, opening, opened, hangUp);
  const wire = opened?.answer.kind === "bytes" ? { wire: bytesWire(opened.answer.contentType) } : {};
  return sendStream(exchange, course, more, { choices, translation, ...wire });
}

/** An answer that has begun, and what is to become of its call. */
interface Opened {
  answer: EngineAnswer;
  /** Of a stream. */
  first: Frame | null;
  units: number;
  settlement: Settlement;
}

/**
 * Waits for a ticket and for the beginning of the answer.
 * @param more fields of the answer: what is known before the line is there before the line, for who waits in it
 */
async function open(
  exchange: Exchange,
  call: RelayCall,
  hangUp: HangUp,
  claim: Claim | null,
  more: Record<string, string>,
): Promise<Opened> {
  const { rooms, record } = exchange;
  const ask = new CallAsk(exchange, call, more, hangUp.signal);
  let ticket: Ticket<Engine, Outcome>;
  try {
    ticket = await rooms.admission.admit(ask);
  } catch (error) {
    claim?.free();
    throw error;
  }
  const settlement = new CallSettlement(exchange, call, ticket, claim);
  noteDropped(record, call.body, PRIVATE_FIELDS);
  try {
    const sent = sentOf(call, exchange.served ?? call.model, ask.prepared, ticket);
    const { answer, first } = await withFailover(
      {
        seat: ticket.seat,
        budget: rooms.retries,
        hangUp,
        waits: rooms.waits,
        silentMsMax: rooms.limits.firstTokenMsMax,
        // A stream is watched while it is sent; a whole answer has one deadline, and the time in line is not part of it.
        wholeMsMax: call.stream ? null : rooms.limits.answerMsMax,
        signs: rooms.fleet.signs,
        busyMsMax: rooms.limits.busyMsMax,
        shared: call.engine.shared === true,
        now: rooms.waits.now,
        onRetry: () => {
          record.retries++;
        },
      },
      (engine, signal) => begin(exchange, call, sent, ticket.priority, engine, signal),
    );
    settlement.began();
    exchange.copy = copyOf(exchange, call, sent);
    if (answer.kind === "whole") exchange.copy?.push(answer.bytes);
    return { answer, first, units: ticket.units, settlement };
  } catch (error) {
    settlement.failed(error);
    throw error;
  }
}

/** Of calls whose body is JSON, some are looked at a second time. */
function copyOf({ rooms, caller, served }: Exchange, { model, path }: RelayCall, { bytes, contentType }: Sent) {
  if (contentType !== undefined) return null;
  const { accountId } = caller!;
  return rooms.traffic.begun({ model: model.id, served: (served ?? model).id, accountId, path, body: bytes });
}

/** Sends the call to one engine, and resolves when its answer has begun: with what came first, if it comes in pieces. */
async function begin(
  exchange: Exchange,
  call: RelayCall,
  sent: Sent,
  priority: string,
  engine: Engine,
  signal: AbortSignal,
): Promise<Pick<Opened, "answer" | "first">> {
  exchange.record.engine = engine.id;
  exchange.simulated = engine.simulated;
  const own = engine.remote === null;
  if (engine.remote !== null) noteDropped(exchange.record, call.body, engine.remote.privateFields);
  const fields = fieldsFor(engine, exchange, call);
  const answer = await engine.call(call.path, sent.bytes, {
    signal,
    headers: own && sent.headers ? { ...fields, ...sent.headers } : fields,
    model: (exchange.served ?? call.model).id,
    contentType: sent.contentType,
    priority: own ? undefined : priority,
    tenant: own ? undefined : tenantOf(exchange.caller!.accountId),
  });
  if (answer.kind === "whole") return { answer, first: null };
  if (answer.kind === "stream" && !call.stream) {
    answer.events.cancel();
    throw new ApiError("engine_failed", "The engine streamed where a whole answer was asked for.");
  }
  const first = await answer.events.next().catch(neverBegun);
  if (first?.error) throw first.error;
  if (first === null) throw new ApiError("engine_failed", "The engine's answer was empty. Try again.");
  return { answer, first };
}

/** Names an account to servers that are not ours, and tells them nothing of it. */
function tenantOf(accountId: string): string {
  return new Bun.CryptoHasher("sha256").update(accountId).digest("hex").slice(0, 32);
}

/** An engine that breaks off before it has said anything has failed; it is interrupted only once a stream has begun. */
function neverBegun(cause: unknown): never {
  throw engineFailed(cause);
}

/** A body, its type when it is not JSON, and header fields for our own workers. */
interface Sent {
  bytes: Uint8Array;
  contentType: string | undefined;
  headers: Record<string, string> | undefined;
}

/** What is sent: the caller's own length, unless the plan allows less. */
function sentOf(
  call: RelayCall,
  served: Model,
  prepared: Prepared | null,
  { outputTokensMax }: Ticket<Engine, Outcome>,
): Sent {
  const { body, received, contentType, outputTokens, outputField } = call;
  const headers = prepared?.headers;
  if (prepared?.form) return { ...prepared.form, headers };
  if (contentType !== undefined) return { bytes: received, contentType, headers };
  const instead = prepared?.instead ?? null;
  const fits = outputField === null || outputTokensMax === null || outputTokensMax === outputTokens;
  const changed = fits ? instead : { ...instead, [outputField]: outputTokensMax };
  return { bytes: bytesFor(served, body, received, changed), contentType, headers };
}

/** What a call asks of admission. Every call has one, so it is of a class. */
class CallAsk implements Ask {
  readonly caller: Caller;
  readonly model: Model;
  readonly line: string | undefined;
  readonly within: string | undefined;
  readonly inputTokens: number;
  readonly inputField: string;
  readonly outputTokens: number | null;
  readonly choices: number;
  readonly affinity: string | undefined;
  readonly measures: readonly Measure[];
  readonly signal: AbortSignal;
  readonly prepare: (() => Promise<readonly Measure[]>) | undefined;
  /** What `prepare` came to. */
  prepared: Prepared | null = null;
  private readonly exchange: Exchange;
  private readonly call: RelayCall;
  private readonly more: Record<string, string>;

  constructor(exchange: Exchange, call: RelayCall, more: Record<string, string>, signal: AbortSignal) {
    const { served, rooms } = exchange;
    this.exchange = exchange;
    this.call = call;
    this.more = more;
    this.signal = signal;
    this.caller = exchange.caller!;
    // What he may, and what it counts, goes by what he asked for; the wait by what answers.
    this.model = call.model;
    this.line = served?.id;
    this.within = exchange.within;
    this.inputTokens = call.inputTokens;
    this.inputField = call.inputField;
    this.outputTokens = call.outputTokens;
    this.choices = call.generations;
    this.affinity = affinityOf(served?.id ?? call.model.id, call.body, rooms.limits.affinityCharsMax);
    this.measures = call.measures ?? NO_MEASURES;
    this.prepare = call.prepare && preparing(this, call.prepare);
  }

  async countTokens(): Promise<number> {
    const { call, signal } = this;
    const { served } = this.exchange;
    const { count } = call.engine;
    // An engine that cannot count: the bound is all there is to know.
    if (!count) return call.inputTokens;
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(COUNT_MS_MAX)]);
    const asked = served === null ? call.received : bytesFor(served, call.body, call.received);
    return (await reach(signal, () => count(call.path, asked, inTime))) ?? call.inputTokens;
  }

  onAllowed({ clamped, outputTokensMax }: Pick<Ticket<Engine>, "clamped" | "outputTokensMax">): void {
    this.exchange.trace?.part("queue", "internal");
    if (clamped) this.more["x-oxbow-max-tokens-clamped"] = String(outputTokensMax);
  }
}

const NO_MEASURES: readonly Measure[] = [];

function preparing(ask: CallAsk, prepare: NonNullable<RelayCall["prepare"]>) {
  return async (): Promise<readonly Measure[]> => {
    ask.prepared = await prepare(ask.signal);
    return ask.prepared.measures ?? NO_MEASURES;
  };
}

/** A tokenizer reads megabytes in a second. */
const COUNT_MS_MAX = 10_000;

/** What `ask` of an engine comes to. @throws ApiError `engine_failed` when nobody is there */
async function reach<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiError || error instanceof RelayedError) throw error;
    if (signal.aborted) throw signal.reason;
    throw new ApiError("engine_failed", "The engine could not be reached. Try again.", {
      cause: error,
      retryAfterMs: UNREACHABLE_RETRY_MS,
    });
  }
}

/** A worker is back after about this long. */
const UNREACHABLE_RETRY_MS = 1_000;

/**
 * Streams are asked to tell their token counts. The simulator also gets what a caller tells it: what to do, and that an SDK
 * is trying again. No other engine gets fields of a caller; of a request that is traced each gets our own part of the trace.
 */
function fieldsFor(engine: Engine, exchange: Exchange, { stream, model }: RelayCall): Record<string, string> {
  const fields: Record<string, string> = stream ? { [USAGE_FIELD]: "1" } : {};
  const traced = exchange.trace?.part(`engine ${engine.id}`, "client", { "gen_ai.request.model": model.id });
  if (traced !== undefined) fields.traceparent = traced;
  if (!engine.simulated) return fields;
  const { headers } = exchange.request;
  for (const name of ["x-simulate", "x-stainless-retry-count"]) {
    const value = headers.get(name);
    if (value !== null) fields[name] = value;
  }
  return fields;
}

/**
 * The events of an answer that has begun, or is still to begin. Made here and not in `relayCall`: a function made there keeps
 * all that is there, the caller's prompt too, and this one lives as long as the stream.
 */
function courseOf(exchange: Exchange, opening: Promise<Opened>, opened: Opened | null, hangUp: HangUp): Course {
  let begun = opened;
  let events: EventStream | null = null;
  const begin = (now: Opened) => {
    begun = now;
    // An engine that answers a stream with a whole document: `open` has read it, and nothing of it is an event.
    // Nor is a stream of events what comes as bytes of another kind, once the caller was promised events.
    if (now.answer.kind === "whole" || (now.answer.kind === "bytes" && opened === null))
      throw new ApiError("engine_failed", "The engine did not stream. Try again.");
    events = now.answer.events;
    return now.first;
  };
  return {
    settlement: () => begun?.settlement ?? null,
    next: () => events?.next() ?? (begun ? Promise.resolve(begin(begun)) : opening.then(begin)),
    cancel: (tokenSent) => {
      hangUp.clear();
      if (begun === null) hangUp.end();
      opening
        .then(
          ({ answer, settlement }) => {
            if (answer.kind !== "whole") answer.events.cancel();
            return settlement.cancelled(tokenSent);
          },
          () => {}, // it settled with its ticket itself
        )
        .then(() => conclude(exchange, 200));
    },
  };
}

/** What `pending` comes to, or null when it is not there after `ms`. */
function inTime<T>(pending: Promise<T>, ms: number): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), ms);
    pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
