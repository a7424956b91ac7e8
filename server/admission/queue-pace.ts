// How fast the line of a model moves: measured from the calls that run, so that nobody has to know how many slots there
// are, or with which other models they are shared.

export interface Pace {
  /** Counts a call of a class as running until the returned function is called. */
  begin(classIndex: number): () => void;
  /**
   * Calls per ms that a class gets while it waits; null while nothing has been measured, or nothing runs.
   * What the classes before it took lately is not there for it, but its floor is.
   * @param floor its share of all that goes, 0 to 1
   */
  rateOf(classIndex: number, floor: number): number | null;
}

/** @param now monotonic ms */
export function createPace(classes: number, now: () => number): Pace {
  let running = 0;
  let serviceMs: number | null = null;
  const taken = Array.from({ length: classes }, () => ({ perMs: 0, at: now() }));

  /** The rate at which a class takes slots: an average that forgets exponentially. */
  function takenBy({ perMs, at }: { perMs: number; at: number }): number {
    return perMs * Math.exp((at - now()) / RATE_MS);
  }

  return {
    begin(classIndex) {
      const began = now();
      const meter = taken[classIndex]!;
      meter.perMs = takenBy(meter) + 1 / RATE_MS;
      meter.at = began;
      running++;
      return () => {
        running--;
        const tookMs = now() - began;
        serviceMs = serviceMs === null ? tookMs : serviceMs + SERVICE_PART * (tookMs - serviceMs);
      };
    },
    rateOf(classIndex, floor) {
      if (serviceMs === null || running === 0) return null;
      const all = running / Math.max(serviceMs, 1);
      const before = taken.slice(0, classIndex).reduce((sum, meter) => sum + takenBy(meter), 0);
      return Math.max(all - before, floor * all);
    },
  };
}

/** How long the rates remember: some tens of calls on a small engine. */
const RATE_MS = 30_000;
/** How much one call moves the average time of all: about the last twenty count. */
const SERVICE_PART = 0.05;
