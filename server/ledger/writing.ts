// The writer's side in the thread that serves requests: what is to be written lines up here, and goes out as one batch as
// soon as somebody waits for it and the batch before is on disk, a while after that one. That is the group commit: the busier
// the disk or the server, the larger the batch. What nobody waits for, a reservation or a void, rides with the next one that
// somebody does, or goes by itself soon after: so a short call's reservation and settlement are one commit.
//
// A batch that failed stays at the head of the line and is tried again until there is room. A settlement that has waited too
// long is taken out of the line and turned into a void, here and nowhere else, so that it is either on disk or never will be.

import { asHomeError } from "../store/store.ts";
import { LedgerUnavailable } from "./errors.ts";
import { type Op, RESULT, type State } from "./events.ts";
import { createLine, REST_MS_MAX, type Waiting } from "./line.ts";
import { errorOf, type FromWriter, type Packed, packBatch, type ToWriter, unpack } from "./protocol.ts";

export interface WritingOptions {
  home: string;
  /** Unix milliseconds. */
  now: () => number;
  epoch: string;
  /** How long a settlement waits for a disk that takes nothing; milliseconds. */
  settleMsMax: number;
  /** Between two attempts on such a disk; milliseconds. */
  retryMs: number;
  /** @param ms from sending a batch until it was on disk */
  onCommit: (ms: number) => void;
}

/**
 * From the beginning of one commit to the next, at least, once there is more than one request in it; milliseconds. A commit
 * takes 150 µs of a processor whatever is in it: on a disk that is done sooner, half the callers of a busy server would pay for
 * one each. Who is alone waits for nothing.
 */
const APART_MS_MIN = 2;

/** @throws HomeError when the file cannot be opened or written */
export async function startWriting(options: WritingOptions) {
  const { home, now, settleMsMax, retryMs, onCommit } = options;
  const worker = new Worker(new URL("./writer.ts", import.meta.url).href);
  const line = createLine();
  let sent: Waiting[] = [];
  let posting = false;
  /** Somebody waits for what is in line. */
  let wanted = false;
  /** Somebody waits for what rests, too. */
  let allWanted = false;
  let postedMs = 0;
  let crowded = false;
  let healthy = true;
  let dead: Error | undefined;
  let retry: Timer | undefined;
  let rested: Timer | undefined;
  let onAnswer: (answer: FromWriter) => void = () => {};
  let idle: (() => void)[] = [];
  let closing = false;
  const listeners: ((healthy: boolean) => void)[] = [];

  worker.onmessage = ({ data }: MessageEvent<Packed<FromWriter>>) => onAnswer(unpack(data));
  worker.onerror = ({ message }) => {
    // It catches what SQLite throws: this is a fault of the thread itself, which only a new start mends.
    dead = new Error(`the ledger's writer has failed: ${message}`);
    setHealthy(false);
    for (const each of [...sent, ...line.take(Number.POSITIVE_INFINITY)])
      each.done?.reject(new LedgerUnavailable(dead));
    sent = [];
    onAnswer({ kind: "failed", trouble: { name: "Error", message, code: "" } });
  };

  function call(message: Exclude<ToWriter, { kind: "commit" }>): Promise<FromWriter> {
    return new Promise((resolve) => {
      onAnswer = resolve;
      worker.postMessage(message);
    });
  }

  function setHealthy(is: boolean): void {
    if (is === healthy) return;
    healthy = is;
    for (const listener of listeners) listener(is);
  }

  function put(op: Op, waitMs: number, done?: Waiting["done"]): void {
    if (dead) {
      done?.reject(new LedgerUnavailable(dead));
      return;
    }
    const nowMs = performance.now();
    if (op.kind === "reserve") line.rest(op.entry, nowMs);
    else {
      if (op.kind !== "adjust") op.entry = line.wake(op.requestId);
      line.push(done ? { op, until: nowMs + waitMs, done } : { op, until: Number.POSITIVE_INFINITY });
    }
    if (done) hurry();
    else rested ??= setTimeout(haveRested, REST_MS_MAX);
  }

  function haveRested(): void {
    rested = undefined;
    hurry();
  }

  /** What waits goes with the next batch that can go. */
  function hurry(): void {
    wanted = line.size() > 0;
    if (!posting && !retry && wanted) schedule();
  }

  function schedule(): void {
    posting = true;
    const waitMs = crowded ? postedMs + APART_MS_MIN - performance.now() : 0;
    // Never at once: what else is said in this turn rides along.
    if (waitMs > 0) setTimeout(post, waitMs);
    else setImmediate(post);
  }

  function post(): void {
    retry = undefined;
    wanted = false;
    posting = true;
    postedMs = performance.now();
    sent = line.take(allWanted ? Number.POSITIVE_INFINITY : postedMs);
    allWanted = false;
    crowded = sent.length > 1;
    if (line.size() > 0) rested ??= setTimeout(haveRested, REST_MS_MAX);
    onAnswer = take;
    if (sent.length === 0) take({ kind: "committed", results: [] });
    else worker.postMessage(packBatch({ kind: "commit", ops: sent.map(({ op }) => op), at: now(), probe: !healthy }));
  }

  function take(answer: FromWriter): void {
    posting = false;
    if (dead) {
      wake();
      return;
    }
    if (answer.kind === "failed") {
      line.putBack(sent);
      sent = [];
      setHealthy(false);
      withdraw(errorOf(answer.trouble));
      if (closing) wake();
      else retry = setTimeout(post, retryMs);
      return;
    }
    if (answer.kind !== "committed") throw new Error(`the ledger's writer said ${answer.kind} out of turn`);
    const written = sent;
    sent = [];
    if (written.length > 0) {
      onCommit(performance.now() - postedMs);
      setHealthy(true);
    }
    for (const [at, each] of written.entries()) each.done?.resolve(answer.results[at] ?? RESULT.impossible);
    if (wanted) schedule();
    else wake();
  }

  /** Its caller hears that it will not be counted, so it must not be, even when there is room again. */
  function withdraw(cause: Error): void {
    const at = performance.now();
    for (const each of line.waiting()) {
      if (each.until > at) continue;
      const { op, done } = each;
      if (op.kind === "settle") {
        const { requestId, entry } = op;
        each.op = { kind: "void", requestId, outcome: "interrupted", at: op.at, entry };
        each.until = Number.POSITIVE_INFINITY;
        delete each.done;
      }
      done?.reject(new LedgerUnavailable(cause));
    }
  }

  function wake(): void {
    const waiting = idle;
    idle = [];
    for (const resolve of waiting) resolve();
  }

  const opened = await call({ kind: "open", home, epoch: options.epoch, at: now() });
  if (opened.kind !== "opened") {
    worker.unref();
    const error = opened.kind === "failed" ? errorOf(opened.trouble) : new Error("the ledger did not open");
    throw asHomeError(home, error);
  }

  return {
    state: opened.state as State,
    /** Rides in the next commit. */
    put: (op: Op): void => put(op, 0),
    /**
     * @returns what became of it, once that is on disk
     * @throws LedgerUnavailable when it is not, and will never be
     */
    putAndWait: (op: Op): Promise<number> =>
      new Promise((resolve, reject) => put(op, settleMsMax, { resolve, reject })),
    healthy: () => healthy,
    /** Events that are not on disk. */
    waiting: () => sent.length + line.size(),
    onHealth: (listener: (healthy: boolean) => void): void => {
      listeners.push(listener);
    },
    /** Resolves when nothing waits to be written. On a disk that takes nothing, that is when it does again. */
    flush: (): Promise<void> => {
      allWanted = true;
      hurry();
      return posting || retry ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve();
    },
    /** Writes what waits, if the disk takes it, and ends the thread. What it does not take, the next start makes void. */
    async close(): Promise<void> {
      if (dead) return;
      closing = true;
      allWanted = true;
      hurry();
      // Until the line is empty, or the disk has refused it: it may have done so before, and do it for ever.
      if (posting) await new Promise<void>((resolve) => idle.push(resolve));
      clearTimeout(retry);
      clearTimeout(rested);
      withdrawAll();
      await call({ kind: "close" });
      worker.unref();
    },
  };

  function withdrawAll(): void {
    dead = new Error("the ledger is closed");
    for (const each of line.take(Number.POSITIVE_INFINITY)) each.done?.reject(new LedgerUnavailable(dead));
  }
}

export type Writing = Awaited<ReturnType<typeof startWriting>>;
