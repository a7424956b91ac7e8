// How fast the line of a model moves: measured from the calls that run, so that nobody has to know how many slots there
// are, or with which other models they are shared.

export interface Pace {
  /** A call of a class runs. @returns when it began, for `end` */
  begin(classIndex: number): number;
  /** It has ended. Once for each. */
  end(beganMs: number): void;
  /** Calls per ms that all classes get together; null while nothing has been measured, or nothing runs. */
  all(): number | null;
  /** Calls per ms that a class took lately. */
  takenBy(classIndex: number): number;
}

/** @param now monotonic ms */
export function createPace(classes: number, now: () => number): Pace {
  const meters = Array.from({ length: classes }, () => createMeter(now));
  let running = 0;
  let serviceMs: number | null = null;
  return {
    begin(classIndex) {
      meters[classIndex]!.count();
      running++;
      return now();
    },
    end(beganMs) {
      running--;
      const tookMs = now() - beganMs;
      serviceMs = serviceMs === null ? tookMs : serviceMs + SERVICE_PART * (tookMs - serviceMs);
    },
    all: () => (serviceMs === null || running === 0 ? null : running / Math.max(serviceMs, 1)),
    takenBy: (classIndex) => meters[classIndex]!.perMs(),
  };
}

export interface Meter {
  count(): void;
  /** Events per ms: an average that forgets exponentially. */
  perMs(): number;
}

export function createMeter(now: () => number): Meter {
  const began = now();
  let weight = 0;
  let at = began;
  const weightNow = () => weight * Math.exp((at - now()) / MEMORY_MS);
  return {
    count() {
      weight = weightNow() + 1;
      at = now();
    },
    perMs() {
      // Of a memory that is not full yet, only the part that is; but nothing is made of the first few events alone.
      const ageMs = Math.max(now() - began, AGE_MS_MIN);
      return weightNow() / (MEMORY_MS * (1 - Math.exp(-ageMs / MEMORY_MS)));
    },
  };
}

/**
 * How long the rates remember. Longer than anybody waits: a burst of a minute says little about the two minutes after it, and
 * with a shorter memory callers were refused (simulated: 1 in 1,000 of the light accounts) who would have been served.
 */
const MEMORY_MS = 300_000;
/** Before this, a rate is taken for lower than it may be: who is let in waits, who is refused does not. */
const AGE_MS_MIN = 30_000;
/** How much one call moves the average time of all: about the last hundred count. */
const SERVICE_PART = 0.01;
