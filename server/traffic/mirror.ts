// Sends a share of the calls for a model to a second engine, once their answers have begun, and notes how the two answers
// compare. It waits in a line of its own, which is short: what does not fit is dropped and counted. Nothing here is waited for
// by a caller, billed, or stored but numbers.

import type { TrafficTable } from "../config.ts";
import { readSaid } from "./answer.ts";
import { compare } from "./compare.ts";
import type { Begun, FirstAnswer } from "./copy.ts";
import type { MirrorRow } from "./mirror-report.ts";

export type Mirror = TrafficTable["mirrors"][number];

/** A second answer: what came, or what went wrong. */
export interface SecondAnswer {
  engine: string;
  status: number;
  /** Row of the error table, or a word; "": none. */
  code: string;
  bytes: Uint8Array;
  cut: boolean;
  tokensIn: number | null;
  tokensOut: number | null;
}

/** Null: no engine has room for it now. Rejects only when it is aborted. */
export type SendSecond = (
  to: Mirror["to"] & { model: string },
  path: string,
  body: Uint8Array,
  signal: AbortSignal,
) => Promise<SecondAnswer | null>;

export interface MirrorOptions {
  send: SendSecond;
  note: (row: MirrorRow) => void;
  /** Unix milliseconds. */
  now: () => number;
  /** How long a second answer may take; milliseconds. */
  answerMsMax: number;
}

/** What became of the calls that were chosen. */
export interface MirrorCounts {
  compared: number;
  /** The line was full, or no engine had room in time. */
  dropped: number;
}

export interface MirrorLine {
  /** Changes where its calls go. Those that run go on. */
  set(mirror: Mirror): void;
  /** @returns where the first answer is to be told; null: it was dropped */
  take(call: Begun): ((answer: FirstAnswer) => void) | null;
  counts(): MirrorCounts;
  /** Hangs up on all engines, and takes no more. */
  stop(): void;
}

interface Job {
  call: Begun;
  since: number;
  first: Promise<FirstAnswer>;
}

/** Calls that wait, and what their bodies may hold together. */
const WAITING_MAX = 64;
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** A call that found no engine free asks again, and is dropped after this long. */
const WAIT_MS_MAX = 10_000;
const RETRY_MS = 250;

export function createMirrorLine(first: Mirror, { send, note, now, answerMsMax }: MirrorOptions): MirrorLine {
  let mirror = first;
  let waiting: Job[] = [];
  let waitingBytes = 0;
  /** Taken, and not compared yet: each holds an answer in memory. */
  let open = 0;
  let running = 0;
  let retry: Timer | null = null;
  const counts = { compared: 0, dropped: 0 };
  const stopped = new AbortController();

  function drop(): void {
    counts.dropped++;
    open--;
  }

  function pump(): void {
    while (running < mirror.callsMax && waiting.length > 0 && retry === null) {
      const job = waiting.shift()!;
      waitingBytes -= job.call.body.length;
      running++;
      void run(job).finally(() => {
        running--;
        pump();
      });
    }
  }

  async function run(job: Job): Promise<void> {
    if (now() - job.since > WAIT_MS_MAX) return drop();
    const { call } = job;
    const to = { ...mirror.to, model: mirror.to.model ?? call.served };
    const startedMs = performance.now();
    const deadline = AbortSignal.any([stopped.signal, AbortSignal.timeout(answerMsMax)]);
    const second = await send(to, call.path, call.body, deadline).catch((): SecondAnswer => FAILED);
    if (stopped.signal.aborted) return drop();
    if (second === null) {
      waiting.unshift(job);
      waitingBytes += call.body.length;
      retry ??= setTimeout(() => {
        retry = null;
        pump();
      }, RETRY_MS);
      return;
    }
    const durationMs = performance.now() - startedMs;
    void job.first.then((answer) => {
      open--;
      counts.compared++;
      note(rowOf(call, to.model, answer, second, durationMs, now()));
    });
  }

  return {
    set: (next) => {
      mirror = next;
      pump();
    },
    take(call) {
      const bytes = call.body.length;
      if (stopped.signal.aborted || open >= WAITING_MAX + mirror.callsMax || waitingBytes + bytes > WAITING_BYTES_MAX) {
        counts.dropped++;
        return null;
      }
      const { promise, resolve } = Promise.withResolvers<FirstAnswer>();
      open++;
      waiting.push({ call, since: now(), first: promise });
      waitingBytes += bytes;
      // After what the caller is waiting for.
      setTimeout(pump, 0);
      return resolve;
    },
    counts: () => counts,
    stop() {
      stopped.abort(new Error("the mirror has stopped"));
      if (retry !== null) clearTimeout(retry);
      counts.dropped += waiting.length;
      waiting = [];
    },
  };
}

const FAILED: SecondAnswer = {
  engine: "",
  status: 0,
  code: "no_answer",
  bytes: new Uint8Array(),
  cut: false,
  tokensIn: null,
  tokensOut: null,
};

function rowOf(
  call: Begun,
  to: string,
  first: FirstAnswer,
  second: SecondAnswer,
  secondMs: number,
  at: number,
): MirrorRow {
  const { record } = first;
  // What the ledger has are the engine's own counts; a stream's caller need not have asked for them.
  const a = {
    engine: record.engine,
    status: record.status,
    code: record.code,
    durationMs: record.durationMs,
    cut: first.cut,
    tokensIn: record.tokensIn || null,
    tokensOut: record.tokensOut || null,
    said: readSaid(first.bytes),
  };
  const b = { ...second, durationMs: secondMs, said: readSaid(second.bytes) };
  return { at, model: call.model, to, path: call.path, stream: record.stream, ...compare(a, b) };
}
