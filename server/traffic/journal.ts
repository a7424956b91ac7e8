// Lines of JSON in a file of bounded size and age, written beside the calls and never in their way: what is added waits in
// memory for a second, and what a slow disk leaves too long is thrown away and counted.

import { mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";

export interface JournalOptions {
  folder: string;
  /** The file is `NAME.jsonl`; what was written before it stands in `NAME.1.jsonl`. */
  name: string;
  /** Of both together. */
  bytesMax: number;
  ageMsMax: number;
  /** Unix milliseconds. */
  now: () => number;
  log: { warn(fields: object, text: string): void };
}

const FLUSH_MS = 1_000;
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

export function createJournal(options: JournalOptions) {
  const { folder, name, now, log } = options;
  let { bytesMax, ageMsMax } = options;
  const [file, older] = journalFiles(folder, name);
  let waiting: string[] = [];
  let waitingBytes = 0;
  let timer: Timer | null = null;
  let writing: Promise<void> = Promise.resolve();
  let dropped = 0;
  let size = sizeOf(file);
  /** When the first line of the file was written; a guess for one that an earlier run began. */
  let begunAt = size > 0 ? statSync(file).birthtimeMs || now() : now();

  /** Half of what is allowed, twice: the older half goes as a whole. @param more bytes that are to be added */
  function turnOver(more: number): void {
    if (size === 0 || (size + more <= bytesMax / 2 && now() - begunAt < ageMsMax / 2)) return;
    renameSync(file, older);
    size = 0;
    begunAt = now();
  }

  /** A line is at most half the age in each of the two files. */
  function dropOld(): void {
    if (sizeOf(older) > 0 && now() - statSync(older).mtimeMs > ageMsMax / 2) rmSync(older);
  }

  /** Lines grow old also when no new ones come. */
  function sweep(): void {
    try {
      turnOver(0);
      dropOld();
    } catch (cause) {
      log.warn({ cause: String(cause), file }, "old lines could not be removed");
    }
  }

  async function write(lines: string[]): Promise<void> {
    try {
      if (size === 0) mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const text of batchesOf(lines, bytesMax / 2)) {
        const bytes = Buffer.byteLength(text);
        turnOver(bytes);
        dropOld();
        await appendFile(file, text, { mode: 0o600 });
        size += bytes;
      }
    } catch (cause) {
      dropped += lines.length;
      log.warn({ cause: String(cause), file }, "lines could not be written, and are lost");
    }
  }

  function flush(): Promise<void> {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const lines = waiting;
    waiting = [];
    waitingBytes = 0;
    if (lines.length > 0) writing = writing.then(() => write(lines));
    return writing;
  }

  return {
    add(value: object): void {
      const line = `${JSON.stringify(value)}\n`;
      if (waitingBytes + line.length > WAITING_BYTES_MAX || Buffer.byteLength(line) > bytesMax / 2) {
        dropped++;
        return;
      }
      waiting.push(line);
      waitingBytes += line.length;
      timer ??= setTimeout(() => void flush(), FLUSH_MS);
    },
    bound(next: { bytesMax: number; ageMsMax: number }): void {
      bytesMax = next.bytesMax;
      ageMsMax = next.ageMsMax;
    },
    /** Removes what is too old. To be called now and then. */
    sweep: (): Promise<void> => {
      writing = writing.then(sweep);
      return writing;
    },
    /** Lines that were lost since the start. */
    dropped: () => dropped,
    flush,
  };
}

/** Whole lines together, none of which is longer than `bytesMax`. */
function batchesOf(lines: readonly string[], bytesMax: number): string[] {
  const batches: string[] = [];
  let batch = "";
  let bytes = 0;
  for (const line of lines) {
    const more = Buffer.byteLength(line);
    if (bytes + more > bytesMax && batch !== "") {
      batches.push(batch);
      batch = "";
      bytes = 0;
    }
    batch += line;
    bytes += more;
  }
  return batch === "" ? batches : [...batches, batch];
}

/** All lines that there are, the oldest first. One that was cut off is left out. */
export function readJournal<T>(folder: string, name: string): T[] {
  const [file, older] = journalFiles(folder, name);
  return [older, file].flatMap((path) => {
    const text = sizeOf(path) > 0 ? readFileSync(path, "utf8") : "";
    return text.split("\n").flatMap((line) => {
      try {
        return line === "" ? [] : [JSON.parse(line) as T];
      } catch {
        return []; // the process was killed while it wrote
      }
    });
  });
}

/** What is written to, and what was before it. */
export function journalFiles(folder: string, name: string): [file: string, older: string] {
  return [join(folder, `${name}.jsonl`), join(folder, `${name}.1.jsonl`)];
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
