// The events of a remote engine's stream, as our callers know them.

import {
  ApiError,
  createSseReader,
  engineInterrupted,
  errorBody,
  RelayedError,
  SSE_DONE,
  type SseEvent,
  sseEvent,
} from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import type { EventStream, Frame } from "./answer.ts";
import { createMending, type Mended } from "./mending.ts";
import type { Said } from "./said.ts";

/** The events of a stream, read ahead by no more than what one read of the network brings. */
export function mendedEvents(body: ReadableStream<Uint8Array>, said: Said, remote: RemoteKind): EventStream {
  const reader = body.getReader();
  const sse = createSseReader();
  const mend = createMending(said, remote);
  let ended = false;
  /** What went wrong behind events that were still good: that the engine said it, or that it broke off. */
  let told: Error | null = null;
  let broken: unknown = null;

  async function next(): Promise<Frame | null> {
    if (told !== null && !ended) return failing(told);
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
        if (mended instanceof Error) {
          told = mended;
          break;
        }
        add(mended);
      }
      if (done && told === null) {
        if (!mend.wholeWithoutDone()) throw new Error("the stream ended without [DONE]");
        return close();
      }
    } catch (error) {
      broken = error;
    }
    // What was good before an error goes first.
    if (text !== "") return { ...frame, bytes: encode(text) };
    return told === null ? null : failing(told);

    function close(): Frame {
      add(mend.end());
      finish();
      return { ...frame, bytes: encode(text + SSE_DONE), last: true, usage: mend.counts() };
    }
  }

  /** An error event is a frame of its own: so whoever reads the first can still answer with its status. */
  function failing(error: Error): Frame {
    cancel();
    const body = error instanceof RelayedError ? error.body : errorBody(error as ApiError);
    return { bytes: encode(sseEvent(body)), finishes: 0, last: true, error, usage: null };
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
    return engineInterrupted(cause);
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
