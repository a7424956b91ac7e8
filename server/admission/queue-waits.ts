// What happened in the line of one class: counts since the start, and how long those waited who went lately.

export interface Waits {
  add(waitedMs: number): void;
  /** Milliseconds; null when nobody went within the window. */
  percentiles(): { p50: number; p99: number } | null;
}

/** @param now monotonic ms */
export function createWaits(now: () => number): Waits {
  const ring: { at: number; waitedMs: number }[] = [];
  let next = 0;
  return {
    add(waitedMs) {
      ring[next] = { at: now(), waitedMs };
      next = (next + 1) % RING;
    },
    percentiles() {
      const since = now() - WINDOW_MS;
      const waits = ring.flatMap(({ at, waitedMs }) => (at >= since ? [waitedMs] : [])).sort((a, b) => a - b);
      if (waits.length === 0) return null;
      const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(share * waits.length))]!;
      return { p50: at(0.5), p99: at(0.99) };
    },
  };
}

/** The window slides over the last five minutes, and over this many calls when there were more. */
const WINDOW_MS = 300_000;
const RING = 2_048;
