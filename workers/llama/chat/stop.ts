// Stop strings: cuts an answer where the first of them begins, however the text is chunked, and never lets out the
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
      const cut = firstIndex(held, wanted);
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
