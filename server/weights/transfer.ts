// Brings the bytes of one file into its `.incomplete`, behind those that are there already, however often the connection
// breaks off or falls silent. Whether they are the right ones is for digest.ts.

import { type FileHandle, open } from "node:fs/promises";
import { createDigest, type Digest } from "./digest.ts";
import { asDiskError, WeightsError } from "./errors.ts";
import type { HubFile } from "./hub.ts";
import { type Clock, persist } from "./persist.ts";

export interface TransferOptions {
  file: HubFile;
  /** Path of the `.incomplete`. */
  path: string;
  /** Asks the hub for the bytes from `from` on. */
  open(from: number, signal: AbortSignal): Promise<Response>;
  /** Without one byte for so long, the connection counts as dead. */
  stallMsMax: number;
  clock: Clock;
  signal: AbortSignal | undefined;
  /** So many bytes are on disk now. */
  onBytes(done: number): void;
  onRetry(reason: string, waitMs: number): void;
}

/** Connections in a row that brought nothing. With the pauses between them: some two minutes. */
const TRIES_MAX = 9;

/**
 * @returns the checksum of what arrived, when all of it passed through here; null when the beginning was there before
 * @throws WeightsError; the signal's reason. What has arrived stays in the file.
 */
export async function transfer(options: TransferOptions): Promise<string | null> {
  const { file, path, clock, signal } = options;
  const handle = await open(path, "a").then((made) => made.close().then(() => open(path, "r+")));
  let done = (await handle.stat()).size;
  let digest: Digest | null = done === 0 ? createDigest(file) : null;

  async function startOver() {
    await handle.truncate(0);
    done = 0;
    digest = createDigest(file);
    options.onBytes(0);
  }

  async function take(bytes: Uint8Array) {
    if (done + bytes.length > file.bytes) {
      await startOver();
      throw new WeightsError(
        "unsafe",
        `The hub sends more bytes of ${file.path} than it has announced (${file.bytes}).`,
      );
    }
    await writeAll(handle, bytes, done).catch((cause) => {
      throw asDiskError(cause, path);
    });
    digest?.add(bytes);
    done += bytes.length;
    options.onBytes(done);
  }

  /** One connection, until it ends. */
  async function connect() {
    const watch = createWatch(options.stallMsMax, signal);
    try {
      const answer = await options.open(done, watch.signal);
      watch.touch();
      if (answer.status === 416) {
        await startOver();
        throw new WeightsError(
          "unsafe",
          `The hub has fewer bytes of ${file.path} than it has announced (${file.bytes}).`,
        );
      }
      if (!beginsAt(answer, done)) {
        await startOver();
        throw new Error("The hub sent another part than was asked for.");
      }
      // It does not know how to begin in the middle.
      if (answer.status === 200 && done > 0) await startOver();
      if (answer.body === null) throw new Error("The hub had nothing to send.");
      for await (const bytes of answer.body) {
        watch.touch();
        await take(bytes);
        // A slow disk is no silence of the hub.
        watch.touch();
      }
      if (done < file.bytes) throw new Error("The connection broke off.");
    } catch (cause) {
      throw watch.stalled() ? new Error(`No byte for ${options.stallMsMax / 1000} s.`) : cause;
    } finally {
      watch.end();
    }
  }

  try {
    if (done > file.bytes) await startOver();
    let before = done;
    if (done < file.bytes || file.bytes === 0) options.onBytes(done);
    while (done < file.bytes) {
      await persist(
        () => {
          before = done;
          return connect();
        },
        {
          clock,
          signal,
          triesMax: TRIES_MAX,
          gained: () => done > before,
          giveUp: (cause) => gaveUp(file, done, cause),
          onRetry: (cause, waitMs) => options.onRetry(messageOf(cause), waitMs),
        },
      );
    }
    await handle.sync();
    return digest === null ? null : (digest as Digest).end();
  } catch (cause) {
    throw asDiskError(cause, path);
  } finally {
    await handle.close();
  }
}

/** Whether an answer with a part says the part that was asked for. */
function beginsAt(answer: Response, from: number): boolean {
  if (answer.status !== 206) return true;
  return new RegExp(`^bytes ${from}-`).test(answer.headers.get("content-range") ?? "");
}

/** @param at where in the file */
async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, at + written);
    written += bytesWritten;
  }
}

/** A signal that fires with another one, or when nobody has touched the watch for so long. */
function createWatch(stallMsMax: number, outer: AbortSignal | undefined) {
  const silent = new AbortController();
  const wake = () => silent.abort(new Error("stalled"));
  let timer = setTimeout(wake, stallMsMax);
  return {
    signal: outer ? AbortSignal.any([outer, silent.signal]) : silent.signal,
    touch() {
      clearTimeout(timer);
      timer = setTimeout(wake, stallMsMax);
    },
    stalled: () => silent.signal.aborted,
    end: () => clearTimeout(timer),
  };
}

function gaveUp(file: HubFile, done: number, cause: unknown): WeightsError {
  const text = `${file.path}: the hub breaks off again and again (${messageOf(cause)}). The first ${done} of ${file.bytes} bytes are kept; the same command goes on from there.`;
  return new WeightsError("unreachable", text, { cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
