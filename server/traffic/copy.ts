// A call that is looked at a second time: its body, and its answer as it comes. It holds on to the bytes that are sent anyway,
// up to a bound, and is read once the call has ended.

import type { Ended } from "./ended.ts";

/** A call whose answer has begun. */
export interface Begun {
  /** What the caller asked for, and what answers. */
  model: string;
  served: string;
  accountId: string;
  /** At the engine. */
  path: string;
  /** What the engine was sent. */
  body: Uint8Array;
}

/** What the gateway tells of it from then on. */
export interface Copy {
  push(bytes: Uint8Array): void;
  end(record: Ended): void;
}

export interface FirstAnswer {
  record: Ended;
  bytes: Uint8Array;
  /** It was longer than what is kept. */
  cut: boolean;
}

/** Of an answer. As many as a mirror's line may hold are in memory at the same time. */
export const ANSWER_BYTES_MAX = 1024 * 1024;

/** @param done called once, after the call has ended */
export function createCopy(done: (answer: FirstAnswer) => void): Copy {
  const parts: Uint8Array[] = [];
  let size = 0;
  let ended = false;
  return {
    push(bytes) {
      size += bytes.length;
      if (size <= ANSWER_BYTES_MAX) parts.push(bytes);
    },
    end(record) {
      if (ended) return;
      ended = true;
      done({ record, bytes: Buffer.concat(parts), cut: size > ANSWER_BYTES_MAX });
    },
  };
}
