// Sends pieces out as the body of an answer: each piece is one write, at its time, and none is made before the one
// before it was taken.

import { Cut, type Piece, STALL } from "./faults.ts";
import { wait, waitForever } from "./pace.ts";

export interface BodyOptions {
  /** Milliseconds before the first piece and before each further one; 0 sets no timer. */
  firstMs: number;
  betweenMs: number;
  /** Pieces that take their time, from the first; what follows them ends the stream and comes at once. */
  steps: number;
  /** Aborts when the caller hangs up or the engine is put to sleep. */
  signal: AbortSignal;
  /** What to send instead of the rest when the signal aborts and the caller is still there. */
  onAbort(): string;
  /** Called once, however the body ended. @param error unless it ended as it should */
  onEnd(error?: unknown): void;
}

/** @param pieces is asked for one piece at a time; a thrown `Cut` cuts the connection */
export function createBody(pieces: Iterator<Piece>, options: BodyOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let count = 0;

  function send(controller: ReadableStreamDefaultController<Uint8Array>): void | Promise<void> {
    options.signal.throwIfAborted();
    const { done, value } = pieces.next();
    if (done) {
      options.onEnd();
      return controller.close();
    }
    if (value === STALL) return waitForever(options.signal);
    controller.enqueue(typeof value === "string" ? encoder.encode(value) : value);
  }

  async function fail(controller: ReadableStreamDefaultController<Uint8Array>, error: unknown): Promise<void> {
    options.onEnd(error);
    if (options.signal.aborted) {
      controller.enqueue(encoder.encode(options.onAbort()));
      return controller.close();
    }
    // What was sent so far has to leave before the connection is cut, or it is lost with it.
    if (error instanceof Cut) await Bun.sleep(CUT_AFTER_MS);
    controller.error(error);
  }

  return new ReadableStream({
    pull(controller) {
      const ms = count === 0 ? options.firstMs : count < options.steps ? options.betweenMs : 0;
      count++;
      try {
        const sent = ms > 0 ? wait(ms, options.signal).then(() => send(controller)) : send(controller);
        return sent?.catch((error) => fail(controller, error));
      } catch (error) {
        return fail(controller, error);
      }
    },
    cancel(reason) {
      options.onEnd(reason ?? new Error("the caller hung up"));
    },
  });
}

const CUT_AFTER_MS = 10;
