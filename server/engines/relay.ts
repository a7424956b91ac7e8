// Sends one call to one engine and hands the answer back as wire bytes: whole, or one frame of whole events at a time.
// Reads only what it must (status, the mark of an error, how many choices have finished, the end, what it cost) and
// rebuilds nothing.

import {
  AnswerTooLong,
  answerCutShort,
  answerNotUnderstood,
  engineInterrupted,
  readAll,
  SSE_DONE,
  type TokenCounts,
  USAGE_FIELD,
} from "@oxbow/contract";
import type { EngineAnswer, EventStream, Frame } from "./answer.ts";
import { type AnswerForm, answerFormOf } from "./answer-forms.ts";
import { readPieces } from "./pieces.ts";
import { errorOf, readRefusal } from "./refusals.ts";

/** Bytes of an event that has not ended yet: more than any engine means to send. */
const EVENT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * @param response what the engine answered; its headers are there, its body may still be to come
 * @param path that was called: decides what an answer looks like
 * @throws RelayedError for the engine's own refusals; ApiError `engine_failed` for what is not an answer
 */
export async function readAnswer(response: Response, path = ""): Promise<EngineAnswer> {
  if (!response.ok) throw await readRefusal(response);
  const type = response.headers.get("content-type") ?? "";
  const form = answerFormOf(path);
  if (type.startsWith("text/event-stream") && response.body) {
    return { kind: "stream", events: readEvents(response.body, response.headers.has(USAGE_FIELD), form) };
  }
  const isJson = type.includes("json");
  if (!isJson && form.bytes === "stream" && response.body) {
    return { kind: "bytes", events: readPieces(response.body), contentType: type };
  }
  const bytes = await readWhole(response);
  if (!isJson && form.bytes === "whole") return { kind: "whole", bytes, contentType: type, usage: null };
  if (!isJson || bytes[0] !== OPENING_BRACE || !endsObject(bytes) || startsWith(bytes, ERROR_BODY)) {
    const cause = new Error(
      isJson ? "its answer is no object, or an error" : `it answered with ${type.slice(0, 80) || "no type"}`,
    );
    throw answerNotUnderstood(cause);
  }
  const usage = countsIn(bytes, lastIndexOf.call(bytes, USAGE));
  return { kind: "whole", bytes, contentType: "application/json", usage };
}

/** A whole answer: ten large images in base64, or 2,048 vectors, and half as much again. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/**
 * The bytes of a whole answer.
 * @throws ApiError `engine_failed`
 */
export async function readWhole(response: Response, bytesMax = ANSWER_BYTES_MAX): Promise<Uint8Array> {
  try {
    return await readAll(response, bytesMax);
  } catch (cause) {
    throw cause instanceof AnswerTooLong ? answerNotUnderstood(cause) : answerCutShort(cause);
  }
}

const ascii = (text: string) => new TextEncoder().encode(text);
const ERROR_BODY = ascii('{"error"');
/** Exact, as are the others: inside JSON text these quotes would stand behind backslashes. */
const ERROR_EVENT = Buffer.from('data: {"error"');
const FINISH = Buffer.from('"finish_reason":');
const USAGE = Buffer.from('"usage":');
const USAGE_COMMENT = Buffer.from(": usage ");
const DONE = ascii(SSE_DONE);
const EVENT_END = Buffer.from("\n\n");
// Searches natively, and on the array as it comes: making a Buffer of every chunk costs more than the search.
const { indexOf, lastIndexOf } = Buffer.prototype as unknown as Record<
  "indexOf" | "lastIndexOf",
  (this: Uint8Array, what: Uint8Array, from?: number) => number
>;

/** @param counted whether the engine will tell its token counts behind `[DONE]` */
function readEvents(body: ReadableStream<Uint8Array>, counted: boolean, { finishers }: AnswerForm): EventStream {
  const reader = body.getReader();
  const marks = finishers?.flatMap((type) => [Buffer.from(`"type":"${type}"`), Buffer.from(`"type": "${type}"`)]);
  let rest: Uint8Array | null = null;
  let errorIsNext = false;
  /** What comes next is no event. */
  let badIsNext = false;
  /** Of an engine that tells its counts in an event: the one with the finish, or one after it. */
  let usage: TokenCounts | null = null;
  let finishing = false;
  let ended = false;

  /** Cuts after the last whole event, keeps what follows, and looks for the end. Null: no event is whole yet. */
  function frameOf(bytes: Uint8Array): Frame | null {
    const errorAt = indexOf.call(bytes, ERROR_EVENT);
    const cut = cutOf(bytes, errorAt);
    if (cut === 0) return null;
    rest = cut === bytes.length ? null : bytes.subarray(cut);
    let whole = rest === null ? bytes : bytes.subarray(0, cut);
    const badAt = noEventAt(whole);
    if (badAt === 0) breakOff(new Error("the engine sent what is no event"));
    if (badAt > 0) {
      badIsNext = true;
      whole = whole.subarray(0, badAt);
    }
    if (errorAt === 0) return { bytes: whole, finishes: 0, last: true, error: errorOf(textOf(whole, 6)), usage: null };
    errorIsNext = errorAt > 0 && !badIsNext && indexOf.call(bytes, EVENT_END, errorAt) >= 0;
    const last = (errorAt < 0 || badIsNext) && endsWith(whole, DONE);
    const finishes =
      marks === undefined ? finishesIn(whole) : marks.reduce((sum, mark) => sum + countIn(whole, mark), 0);
    finishing ||= finishes > 0;
    if (finishing && !counted) usage = countsIn(whole, lastIndexOf.call(whole, USAGE)) ?? usage;
    return { bytes: whole, finishes, last, error: null, usage: last ? usage : null };
  }

  // Promise callbacks instead of `await`, and as few as possible: this runs for every token of every stream.
  function next(): Promise<Frame | null> {
    if (errorIsNext) return Promise.resolve(ending(frameOf(rest!)!));
    if (ended) return Promise.resolve(null);
    if (badIsNext) return Promise.reject(new Error("the engine sent what is no event")).catch(breakOff);
    return reader.read().then(take, breakOff);
  }

  function take({ value, done }: { value?: Uint8Array; done: boolean }): Frame | Promise<Frame | null> {
    if (done || !value) {
      // Where an event of its own finishes an answer, engines end the stream behind it, and say nothing more.
      if (!finishing || marks === undefined) breakOff(new Error("the stream ended without its end"));
      ended = true;
      return { bytes: NOTHING, finishes: 0, last: true, error: null, usage };
    }
    const bytes = rest === null ? value : join(rest, value);
    const frame = frameOf(bytes);
    if (frame === null) {
      if (bytes.length > EVENT_BYTES_MAX) breakOff(new Error(`an event is longer than ${EVENT_BYTES_MAX} bytes`));
      rest = bytes;
      return next();
    }
    return frame.last ? ending(frame) : frame;
  }

  /** Completes the last frame with what the engine says behind it. */
  function ending(frame: Frame): Frame | Promise<Frame> {
    errorIsNext = false;
    if (!counted || frame.error !== null) {
      finish();
      return frame;
    }
    if (rest !== null) {
      const at = indexOf.call(rest, USAGE_COMMENT);
      if (at >= 0 && rest[rest.length - 1] === NEWLINE) {
        frame.usage = countsIn(rest, at);
        finish();
        return frame;
      }
    }
    return reader.read().then(({ value, done }) => {
      if (done || !value || (rest?.length ?? 0) > COMMENT_BYTES_MAX) {
        finish();
        return frame; // promised and not kept: the answer is whole all the same
      }
      rest = rest === null ? value : join(rest, value);
      return ending(frame);
    }, breakOff);
  }

  /** Reads to the end of the body, which keeps the connection for the next call; whatever else follows is dropped. */
  function finish(): void {
    ended = true;
    reader.read().then(
      ({ done }) => done || cancel(),
      () => {},
    );
  }

  function breakOff(cause: unknown): never {
    cancel();
    throw engineInterrupted(cause);
  }

  function cancel(): void {
    ended = true;
    void reader.cancel().catch(() => {}); // it may have ended by itself: nothing is left to hang up on
  }

  return { next, cancel };
}

/** What may follow `[DONE]` before the counts, and with them. */
const COMMENT_BYTES_MAX = 4_096;
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const SPACE = 0x20;

/** Where the next frame ends: an error event is a frame of its own, what else is whole goes together. 0: nowhere. */
function cutOf(bytes: Uint8Array, errorAt: number): number {
  if (errorAt > 0) return errorAt;
  const end = errorAt === 0 ? indexOf.call(bytes, EVENT_END) : lastIndexOf.call(bytes, EVENT_END);
  return end < 0 ? 0 : end + EVENT_END.length;
}

/**
 * Where a whole event stands that is none, by its first and last bytes: our own workers write well, but what their pipes
 * or their memory make of it is not passed on. -1: nowhere.
 */
function noEventAt(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; ) {
    const end = indexOf.call(bytes, EVENT_END, at);
    if (end < 0 || !isEvent(bytes, at, end - 1)) return at;
    at = end + EVENT_END.length;
  }
  return -1;
}

/** `data: {…}`, `data: […]`, or the same behind lines that name the event or comment on it. */
function isEvent(bytes: Uint8Array, first: number, last: number): boolean {
  const begins = bytes[first];
  if (begins === COLON) return true;
  const ends = bytes[last] === CLOSING_BRACE || bytes[last] === CLOSING_BRACKET;
  if (begins !== LETTER_D) return ends && begins === LETTER_E;
  return ends && (bytes[first + 6] === OPENING_BRACE || bytes[first + 6] === OPENING_BRACKET);
}

const COLON = 0x3a;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const OPENING_BRACE = 0x7b;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACE = 0x7d;
const CLOSING_BRACKET = 0x5d;

function finishesIn(bytes: Uint8Array): number {
  let count = 0;
  for (let at = indexOf.call(bytes, FINISH); at >= 0; at = indexOf.call(bytes, FINISH, at)) {
    at += FINISH.length;
    if (bytes[at] === SPACE) at++;
    if (bytes[at] === QUOTE) count++;
  }
  return count;
}

function countIn(bytes: Uint8Array, mark: Uint8Array): number {
  let count = 0;
  for (let at = indexOf.call(bytes, mark); at >= 0; at = indexOf.call(bytes, mark, at + mark.length)) count++;
  return count;
}

const NOTHING = new Uint8Array();

/** The token counts that stand behind `from`; null when there are none. */
function countsIn(bytes: Uint8Array, from: number): TokenCounts | null {
  if (from < 0) return null;
  // Numbers only, and the first of each name: details with names of their own may follow.
  const text = textOf(bytes, from);
  const prompt = /"(?:prompt|input)_tokens":\s*(\d{1,9})(?!\d)/.exec(text)?.[1];
  if (prompt === undefined) return null;
  const completion = /"(?:completion|output)_tokens":\s*(\d{1,9})(?!\d)/.exec(text)?.[1] ?? "0";
  return { prompt_tokens: Number(prompt), completion_tokens: Number(completion) };
}

function textOf(bytes: Uint8Array, from: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, bytes.length - from).toString();
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/** Whether the last byte that is no white space closes an object: half an answer is none. */
function endsObject(bytes: Uint8Array): boolean {
  let at = bytes.length - 1;
  while (at > 0 && bytes[at]! <= SPACE) at--;
  return bytes[at] === CLOSING_BRACE;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, index) => bytes[index] === byte);
}

function endsWith(bytes: Uint8Array, end: Uint8Array): boolean {
  const from = bytes.length - end.length;
  if (from < 0) return false;
  for (let index = end.length - 1; index >= 0; index--) if (bytes[from + index] !== end[index]) return false;
  return true;
}
