// An answer that is bytes and nothing else, such as sound. Nothing in it says where it ends, so one byte is always held
// back: the frame with the last byte exists only once the engine has ended well.

import { engineInterrupted } from "@oxbow/contract";
import type { EventStream, Frame } from "./answer.ts";

export function readPieces(body: ReadableStream<Uint8Array>): EventStream {
  const reader = body.getReader();
  let held: Uint8Array | null = null;
  let ended = false;

  async function next(): Promise<Frame | null> {
    for (;;) {
      if (ended) return null;
      const { value, done } = await reader.read().catch(breakOff);
      if (done) {
        if (held === null) breakOff(new Error("the answer is empty"));
        ended = true;
        return frameOf(held, true);
      }
      if (value.length === 0) continue;
      const before: Uint8Array | null = held;
      held = value.slice(-1);
      const most = value.subarray(0, -1);
      if (before === null && most.length === 0) continue;
      return frameOf(before === null ? most : Buffer.concat([before, most]), false);
    }
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

function frameOf(bytes: Uint8Array, last: boolean): Frame {
  return { bytes, finishes: last ? 1 : 0, last, error: null, usage: null };
}
