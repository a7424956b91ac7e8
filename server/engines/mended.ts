// Reads the answer of a remote engine as the answer that our callers know: events in the one framing, our id of the model,
// what the kind's row asks to be repaired, errors in the words of our table. What is right passes as the engine wrote it.

import { ApiError, createSseReader, RelayedError, SSE_DONE, type SseEvent, sseEvent } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import { remoteError } from "./refusals.ts";
import { type EngineAnswer, type EventStream, type Frame, readAnswer } from "./relay.ts";
import { choicesOf, isObject, type Json, type StreamRepair } from "./repairs/repair.ts";
import { REPAIRS } from "./repairs/repairs.ts";
import { createTally, type Tally } from "./repairs/tally.ts";
import type { Said } from "./say.ts";

/** Endpoints whose answers are JSON that we know. All others are passed on as they come. */
const KNOWN = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);

/**
 * @param response with a status of success
 * @throws RelayedError, ApiError for an error that stands in place of the answer, and for what is no answer
 */
export async function readMended(response: Response, said: Said, remote: RemoteKind): Promise<EngineAnswer> {
  if (!KNOWN.has(said.path)) return readAnswer(response, said.path);
  const isStream = (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
  if (isStream !== said.stream && isStream) {
    void response.body?.cancel();
    throw unusable("it streamed, and nobody asked for a stream");
  }
  if (isStream && response.body) return { kind: "stream", events: mendedEvents(response.body, said, remote) };
  return mendedWhole(await bytesOf(response), said, remote);
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  try {
    return await response.bytes();
  } catch (cause) {
    throw new ApiError("engine_failed", "The engine stopped in the middle of its answer. Try again.", { cause });
  }
}

function mendedWhole(bytes: Uint8Array, said: Said, remote: RemoteKind): EngineAnswer {
  const answer = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  if (answer === null) throw unusable("its answer is no JSON object");
  if (isError(answer)) throw remoteError(answer, null, remote, said);
  const holder = said.path === "/v1/embeddings" ? answer.data : answer.choices;
  if (!Array.isArray(holder) || holder.length === 0) throw unusable("its answer holds nothing");
  const tally = createTally(said);
  tally.see(answer);
  let changed = renamed(answer, said);
  for (const name of remote.repairs) changed = REPAIRS[name]!.whole(answer, said, tally) || changed;
  const { prompt_tokens, completion_tokens } = tally.counts();
  const usage = { prompt_tokens, completion_tokens: said.path === "/v1/embeddings" ? 0 : completion_tokens };
  const mended = changed ? encode(JSON.stringify(answer)) : bytes;
  return { kind: "whole", bytes: mended, contentType: "application/json", usage };
}

/** The events of a stream, read ahead by no more than what one read of the network brings. */
function mendedEvents(body: ReadableStream<Uint8Array>, said: Said, remote: RemoteKind): EventStream {
  const reader = body.getReader();
  const sse = createSseReader();
  const mend = createMending(said, remote);
  let ended = false;
  /** What went wrong behind events that were still good. */
  let broken: unknown = null;

  async function next(): Promise<Frame | null> {
    if (broken !== null) throw breakOff(broken);
    while (!ended) {
      const { value, done } = await reader.read().catch((cause) => {
        throw breakOff(cause);
      });
      const frame = frameOf(() => (done || !value ? sse.end() : sse.push(value)), done);
      if (frame !== null) return frame;
      if (broken !== null) throw breakOff(broken);
    }
    return null;
  }

  /** Null: nothing has come of them yet. */
  function frameOf(read: () => SseEvent[], done: boolean): Frame | null {
    const frame: Frame = { bytes: EMPTY, finishes: 0, last: false, error: null, usage: null };
    let text = "";
    const add = (piece: Mended) => {
      text += piece.text;
      frame.finishes += piece.finishes;
    };
    try {
      for (const { data } of read()) {
        if (data.trim() === "[DONE]") return close();
        const mended = mend.event(data);
        // What was good before it goes first.
        if (mended instanceof Error) throw mended;
        add(mended);
      }
      if (done) {
        if (!mend.wholeWithoutDone()) throw new Error("the stream ended without [DONE]");
        return close();
      }
    } catch (error) {
      broken = error;
    }
    return text === "" ? null : { ...frame, bytes: encode(text) };

    function close(): Frame {
      add(mend.end());
      finish();
      return { ...frame, bytes: encode(text + SSE_DONE), last: true, usage: mend.counts() };
    }
  }

  /** Reads to the end of the body, which keeps the connection for the next call; whatever else follows is dropped. */
  function finish(): void {
    ended = true;
    reader.read().then(
      ({ done }) => done || cancel(),
      () => {},
    );
  }

  function breakOff(cause: unknown): unknown {
    cancel();
    broken = null;
    if (cause instanceof ApiError || cause instanceof RelayedError) return cause;
    return new ApiError("engine_interrupted", "The engine stopped in the middle of its answer. Try again.", { cause });
  }

  function cancel(): void {
    ended = true;
    void reader.cancel().catch(() => {}); // it may have ended by itself: nothing is left to hang up on
  }

  return { next, cancel };
}

const EMPTY = new Uint8Array();
const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);

/** What becomes of one event. */
interface Mended {
  text: string;
  /** How many choices it finishes. */
  finishes: number;
}

/** All that is done to the chunks of one stream. */
function createMending(said: Said, remote: RemoteKind) {
  const tally: Tally = createTally(said);
  const stages: StreamRepair[] = remote.repairs.map((name) => REPAIRS[name]!.stream(said, tally));
  const open = new Set<unknown>();
  let seen = false;
  // Asked for by us and not by the caller: he has not to see it, whether or not the row repairs what engines make of it.
  const drops = !said.wantsUsage && !remote.repairs.includes("usage");

  function through(chunks: Json[], from: number, changed: () => void): Json[] {
    let now = chunks;
    for (const stage of stages.slice(from)) now = now.flatMap((chunk) => stage.chunk(chunk, changed));
    return now;
  }

  /** @param original what the engine wrote, when nothing has changed in it */
  function written(chunks: Json[], original: string | null): Mended {
    const out: Mended = { text: "", finishes: 0 };
    for (const chunk of chunks) {
      for (const { index, finish_reason } of choicesOf(chunk)) {
        seen = true;
        if (typeof finish_reason !== "string") open.add(index);
        else {
          open.delete(index);
          out.finishes++;
        }
      }
      out.text += original === null ? sseEvent(chunk) : `data: ${original}\n\n`;
    }
    return out;
  }

  function one(data: string): Mended | Error {
    const chunk = parse(data);
    if (chunk === null) throw new Error("the engine sent an event that is no JSON object");
    if (isError(chunk)) return remoteError(chunk, null, remote, said);
    tally.see(chunk);
    let touched = renamed(chunk, said);
    if (drops && "usage" in chunk) {
      if (isObject(chunk.usage) && choicesOf(chunk).length === 0) return { text: "", finishes: 0 };
      delete chunk.usage;
      touched = true;
    }
    const out = through([chunk], 0, () => {
      touched = true;
    });
    return written(out, !touched && out.length === 1 && out[0] === chunk ? data : null);
  }

  return {
    /** An Error: the one that the event tells of. @throws Error for what is no event */
    event(data: string): Mended | Error {
      // Engines have been seen to leave out the blank line between two events.
      if (!data.includes("\n") || parse(data) !== null)
        return one(data.includes("\n") ? data.replaceAll("\n", " ") : data);
      const out: Mended = { text: "", finishes: 0 };
      for (const line of data.split("\n")) {
        const mended = one(line);
        if (mended instanceof Error) return mended;
        out.text += mended.text;
        out.finishes += mended.finishes;
      }
      return out;
    },

    /** What is owed once the engine has said all. @throws Error when it has said nothing */
    end(): Mended {
      const out: Mended = { text: "", finishes: 0 };
      for (const [index, stage] of stages.entries()) {
        const mended = written(
          through(stage.end?.() ?? [], index + 1, () => {}),
          null,
        );
        out.text += mended.text;
        out.finishes += mended.finishes;
      }
      if (!seen) throw new Error("the stream ended before it had begun");
      return out;
    },

    wholeWithoutDone: () => remote.repairs.includes("done") && seen && open.size === 0,
    counts: () => tally.counts(),
  };
}

/** Our id of the model in place of its server's name. @returns whether they differ */
function renamed(document: Json, { model, path }: Said): boolean {
  if (model === null || document.model === model || (path === "/v1/embeddings" && document.model === undefined))
    return false;
  document.model = model;
  return true;
}

/** An error in the envelope, flat or as bare text: also where the status said that all is well. */
function isError(document: Json): boolean {
  if (document.error !== undefined && document.error !== null && document.error !== "") return true;
  return document.object === "error";
}

function parse(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null; // not JSON: whoever asked says what that means
  }
}

function unusable(why: string): ApiError {
  return new ApiError("engine_failed", "The engine's answer could not be understood. Try again.", {
    cause: new Error(why),
  });
}
