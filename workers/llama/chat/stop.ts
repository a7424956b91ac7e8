// Stop strings: ends an answer when the first of them is complete, without it, however the text is chunked, and never lets out the
// beginning of one that may still be completed.

export interface StopFilter {
  /** @returns what may go out now; once `stopped`, everything later is dropped */
  push(text: string): { text: string; stopped: boolean };
  /** @returns what was held back when the model ended by itself */
  end(): string;
}

/** @param stops empty strings are ignored, as they would stop every answer before its first letter */
export function createStopFilter(stops: string[]): StopFilter {
  const wanted = stops.filter((stop) => stop !== "");
  let held = "";
  let stopped = false;

  return {
    push(text) {
      if (stopped) return { text: "", stopped };
      held += text;
      const cut = startOfFirstComplete(held, wanted);
      stopped = cut >= 0;
      const end = stopped ? cut : held.length - heldBack(held, wanted);
      const out = held.slice(0, end);
      held = stopped ? "" : held.slice(end);
      return { text: out, stopped };
    },
    end() {
      const out = held;
      held = "";
      return out;
    },
  };
}

/** Where the string begins that is complete first, or -1. The earlier one to begin may not be: "abc" and "b" in "abc". */
function startOfFirstComplete(text: string, stops: readonly string[]): number {
  let start = -1;
  let end = Number.POSITIVE_INFINITY;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at < 0 || at + stop.length > end) continue;
    start = at + stop.length === end ? Math.min(start, at) : at;
    end = at + stop.length;
  }
  return start;
}

/** Where the earliest of `needles` begins in `text`, or -1. */
export function firstIndex(text: string, needles: readonly string[]): number {
  let first = -1;
  for (const needle of needles) {
    const at = text.indexOf(needle);
    if (at >= 0 && (first < 0 || at < first)) first = at;
  }
  return first;
}

/** How many characters at the end of `text` may be the beginning of one of `needles`. */
export function heldBack(text: string, needles: readonly string[]): number {
  let most = 0;
  for (const needle of needles) {
    for (let length = Math.min(needle.length - 1, text.length); length > most; length--) {
      if (text.endsWith(needle.slice(0, length))) most = length;
    }
  }
  return most;
}
