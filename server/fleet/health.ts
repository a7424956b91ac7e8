// Whether calls should go to an engine that is there: judged by what becomes of them and by looks at it in between. Who
// fails too often in a row is sent off, asked again after growing pauses, and comes back with a growing share. The shape
// is Envoy's outlier detection and slow start (envoyproxy.io, "Outlier detection", "Slow start mode", read 2026-11-21).

/** What became of a call, as far as the engine is to blame. */
export type Outcome =
  /** It did what an engine does; a refusal of the caller's mistake counts. */
  | { kind: "ok" }
  /** An error of its own, something that is no answer, an answer broken off in its own words. */
  | { kind: "failed" }
  /** No connection, or one that was cut. */
  | { kind: "unreachable" }
  /** Silent for too long. */
  | { kind: "silent" }
  /** It takes no more calls for now. */
  | { kind: "busy"; retryAfterMs?: number | undefined };

/** What a look at an engine comes to. `gone`: nobody is there. */
export type Look = "well" | "ill" | "gone";

export interface HealthOptions {
  /** Monotonic ms. */
  now: () => number;
  /** Looks at the engine, within a bound. Never rejects. */
  look: () => Promise<Look>;
  /** It may get calls now that it may not have got before, or the other way round. */
  onChange: () => void;
  /** Failures in a row after which it is sent off. */
  errorsMax: number;
  /** Between two looks at one that works. */
  lookMs: number;
  /** How long its share grows after it has come back. */
  slowStartMs: number;
}

/** How an engine stands at this moment. */
export interface Standing {
  /** It was cut off from us a moment ago, and a look is under way that tells whether it is still there. */
  held: boolean;
  /** Since when it is sent off; null: it is not. */
  ejectedAt: number | null;
  /** Why. */
  reason: string | null;
  /** Until when it takes no calls, by its own word. 0: it does. */
  busyUntil: number;
  /** Of its weight and its slots, above 0 and up to 1: less while it comes back. */
  share: number;
}

export interface Health {
  report(outcome: Outcome): void;
  /** Does what is due. To be called every second or so. */
  tick(): void;
  standing(): Standing;
  /** How often it was sent off since the start. */
  ejections(): number;
  /** It is there, maybe anew: what was known of it is forgotten. @param careful whether its share is to grow */
  appeared(careful: boolean): void;
}

/** The first pause before an engine that was sent off is asked again; each further one is twice as long. */
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;
/** One that worked this long after its return is no worse than the others: its next pause is short again. */
const FORGIVEN_MS = 60_000;
/** Looks in a row that went badly. */
const LOOKS_MAX = 3;
/** Of an engine that has just come back: enough to fill its cache, too little to hurt when it fails again. */
const SHARE_MIN = 0.1;
/** An engine that is full seldom says for how long: then the pauses double. And what it says may be any amount. */
const BUSY_MS_MIN = 250;
const BUSY_MS_UNSAID_MAX = 1_000;
const BUSY_MS_MAX = 10_000;

export function createHealth(options: HealthOptions): Health {
  const { now, look, onChange, errorsMax, lookMs, slowStartMs } = options;
  let errors = 0;
  let badLooks = 0;
  let lookedAt = now();
  let looking = false;
  let held = false;
  let ejectedAt: number | null = null;
  let reason: string | null = null;
  let askAgainAt = 0;
  let pauses = 0;
  let returnedAt: number | null = null;
  let ejections = 0;
  /** Its share when it was last told of. */
  let sharedOut = 1;
  let busyUntil = 0;
  let busyTimes = 0;
  /** Raised when what was learned before no longer counts. */
  let life = 0;

  function share(): number {
    if (returnedAt === null) return 1;
    const grown = slowStartMs === 0 ? 1 : (now() - returnedAt) / slowStartMs;
    return Math.min(1, Math.max(SHARE_MIN, grown));
  }

  function eject(why: string): void {
    if (returnedAt !== null && now() - returnedAt > FORGIVEN_MS) pauses = 0;
    if (ejectedAt === null) ejections++;
    ejectedAt ??= now();
    reason = why;
    returnedAt = null;
    errors = 0;
    badLooks = 0;
    askAgainAt = now() + Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** pauses++);
    onChange();
  }

  function comeBack(): void {
    ejectedAt = null;
    reason = null;
    returnedAt = now();
    sharedOut = 0;
    onChange();
  }

  function fail(why: string): void {
    if (ejectedAt !== null) return; // a call from before
    errors++;
    // Who has just come back has no credit.
    if (errors >= errorsMax || share() < 1) eject(why);
  }

  async function take(): Promise<void> {
    if (looking) return;
    looking = true;
    const ofLife = life;
    const found = await look();
    looking = false;
    if (ofLife !== life) return;
    lookedAt = now();
    const wasHeld = held;
    held = false;
    if (found === "well") {
      badLooks = 0;
      if (ejectedAt !== null) return comeBack();
    } else if (ejectedAt !== null) {
      return eject(reason!);
    } else if (found === "ill" && ++badLooks >= LOOKS_MAX) {
      return eject("It does not say that it is well.");
    }
    if (wasHeld) onChange();
  }

  return {
    report(outcome) {
      switch (outcome.kind) {
        case "ok":
          errors = 0;
          busyTimes = 0;
          return;
        case "failed":
          return fail(`The last ${errors + 1} calls to it failed.`);
        case "silent":
          return fail("It fell silent.");
        case "unreachable":
          held = true;
          fail("It could not be reached.");
          void take();
          return;
        case "busy": {
          // Calls that were under way when it said so say nothing new.
          if (busyUntil > now()) return;
          const pauseMs = outcome.retryAfterMs ?? Math.min(BUSY_MS_UNSAID_MAX, BUSY_MS_MIN * 2 ** busyTimes++);
          busyUntil = now() + Math.min(BUSY_MS_MAX, pauseMs);
        }
      }
    },

    tick() {
      const due = ejectedAt === null ? lookedAt + lookMs : askAgainAt;
      if (now() >= due) void take();
      if (busyUntil !== 0 && busyUntil <= now()) {
        busyUntil = 0;
        onChange();
      }
      if (returnedAt === null) return;
      if (sharedOut < 1) onChange(); // its share has grown
      sharedOut = share();
      if (now() - returnedAt > Math.max(FORGIVEN_MS, slowStartMs)) {
        returnedAt = null;
        pauses = 0;
      }
    },

    standing: () => ({ held, ejectedAt, reason, busyUntil: busyUntil > now() ? busyUntil : 0, share: share() }),

    ejections: () => ejections,

    appeared(careful) {
      life++;
      errors = 0;
      badLooks = 0;
      lookedAt = now();
      held = false;
      ejectedAt = null;
      reason = null;
      busyUntil = 0;
      busyTimes = 0;
      returnedAt = careful ? now() : null;
      sharedOut = 0;
    },
  };
}

/**
 * Those among `all` that are really left out: who was sent off first, and never so many that more than half are out of
 * use together with those that are not there at all. When all seem bad, it is more likely us, or the callers.
 */
export function leftOut<E extends { there: boolean; ejectedAt: number | null }>(all: readonly E[]): Set<E> {
  const most = Math.floor(all.length / 2) - all.filter(({ there }) => !there).length;
  if (most <= 0) return new Set();
  const ejected = all.filter(({ there, ejectedAt }) => there && ejectedAt !== null);
  return new Set(ejected.sort((a, b) => a.ejectedAt! - b.ejectedAt!).slice(0, most));
}
