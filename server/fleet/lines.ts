// Reads what a worker writes to standard error: line by line, in bounded memory whatever the worker does, the last lines
// kept for the moment when it dies.

/** The rest of a longer line is dropped. Room for a stack frame or a sentence; a prompt's worth of text is a mistake. */
const LINE_CHARS_MAX = 1_000;
/** Enough for one stack trace. */
const LINES_KEPT = 20;
/** A worker that writes faster than this floods the log; what it says beyond is counted, not logged. */
const LINES_PER_SECOND_MAX = 200;

export interface Lines {
  /** The last lines so far, oldest first. At most `LINES_KEPT`. */
  last(): string[];
  /** Resolves at the end of the stream. Never rejects. */
  readonly ended: Promise<void>;
}

/**
 * @param onLine gets every line, as long as they come slowly enough; how many it missed is told by a line of its own
 * @param now milliseconds
 */
export function followLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
  now: () => number,
): Lines {
  const kept: string[] = [];
  let second = 0;
  let inSecond = 0;
  let missed = 0;

  function take(line: string) {
    kept.push(line);
    if (kept.length > LINES_KEPT) kept.shift();
    if (Math.floor(now() / 1000) !== second) {
      second = Math.floor(now() / 1000);
      inSecond = 0;
      tellMissed();
    }
    if (++inSecond <= LINES_PER_SECOND_MAX) onLine(line);
    else missed++;
  }

  function tellMissed() {
    if (missed > 0) onLine(`(${missed} lines left out: more than ${LINES_PER_SECOND_MAX} in a second)`);
    missed = 0;
  }

  return { last: () => [...kept], ended: splitLines(stream, take).then(tellMissed) };
}

async function splitLines(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let open = "";
  const add = (piece: string) => {
    if (open.length < LINE_CHARS_MAX) open += piece.slice(0, LINE_CHARS_MAX - open.length);
  };
  const close = () => {
    if (open !== "") take(open.trimEnd());
    open = "";
  };
  try {
    for await (const bytes of stream) {
      const [first = "", ...rest] = decoder.decode(bytes, { stream: true }).split("\n");
      add(first);
      for (const piece of rest) {
        close();
        add(piece);
      }
    }
  } catch {
    // The pipe broke with its process, whose end is noticed elsewhere.
  }
  close();
}
