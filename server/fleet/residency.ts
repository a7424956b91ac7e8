// Which engines have their weights in memory. Pinned ones always; the others when somebody asks for them, in the place of
// those that were used least lately. What an engine does to get its memory and to give it back is its own affair (local.ts,
// remote.ts); who may ask, and how long he waits, is admission's.

export interface Resident {
  /** The engine's id. Two have the same while one takes the other's place. */
  readonly id: string;
  /** Whose memory it takes. */
  pool(): string;
  bytes(): number;
  pinned(): boolean;
  /** Whether it works on calls. */
  busy(): boolean;
  /** Takes the memory: begins to load. */
  load(): void;
  /** Takes no more calls. */
  rest(): void;
  /** Gives the memory back. Called when it is not busy. Rejects when it could not. */
  unload(): Promise<void>;
  /** It will never fit. */
  fail(reason: string): void;
}

export interface Seat {
  /** Somebody waits for it. */
  want(): void;
  /** It got a call. */
  used(): void;
  /** One of its calls has ended. */
  freed(): void;
  /** It is warm, or has failed: its loading is over, and who waited for it has been told. */
  settled(): void;
  /** It was found with its weights in memory, or without: a server elsewhere may be either. */
  found(loaded: boolean): void;
  /** It is gone, with what it had. */
  remove(): void;
}

export interface Residency {
  add(resident: Resident): Seat;
  /** Sizes, pools or pins have changed. */
  review(): void;
  stop(): void;
}

export interface ResidencyOptions {
  /** Bytes of a pool. Infinity: as much as it takes. */
  bytesOf(pool: string): number;
  /** Milliseconds, never going back. */
  now(): number;
  /** Calls back after so many milliseconds, and returns how to prevent it. */
  after(ms: number, back: () => void): () => void;
  /** How long one that was loaded stays at least, even when others wait: else two in turn would do nothing but load. */
  stayMsMin: number;
  onMove?(id: string, to: "load" | "unload"): void;
}

interface Place {
  resident: Resident;
  /** `resting`: it finishes what it has; `leaving`: it is giving its memory back. Both still have it. */
  phase: "out" | "in" | "resting" | "leaving";
  wantedAt: number | null;
  usedAt: number;
  /** Since when it could be used. */
  inSince: number;
  /** Its loading is over. One that still loads is not sent away: nobody would ever get anything. */
  settled: boolean;
}

export function createResidency({ bytesOf, now, after, stayMsMin, onMove }: ResidencyOptions): Residency {
  const places = new Set<Place>();
  let cancel = (): void => {};
  let settling = false;
  let again = false;
  /** Orders what happens within one millisecond. */
  let step = 0;
  const moment = () => now() + step++ / 1e6;

  /** Serves those who were asked for first. Whoever does not fit yet holds up the others of its pool: small ones would always fit. */
  function settle(): void {
    // What is told to an engine comes back as news from it.
    if (settling) {
      again = true;
      return;
    }
    settling = true;
    do {
      again = false;
      cancel();
      const waiting = [...places].filter(({ phase, wantedAt }) => phase === "out" && wantedAt !== null);
      const held = new Set<string>();
      for (const place of waiting.toSorted((a, b) => a.wantedAt! - b.wantedAt!)) {
        const pool = place.resident.pool();
        if (!held.has(pool) && !admit(place)) held.add(pool);
      }
    } while (again);
    settling = false;
  }

  /** @returns whether it got its memory; if not, room is being made for it */
  function admit(place: Place): boolean {
    const { resident } = place;
    const budget = bytesOf(resident.pool());
    const others = inPool(place).filter(({ phase }) => phase !== "out");
    const lacking = resident.bytes() + sumOf(others) - budget;
    if (lacking <= 0) {
      take(place);
      return true;
    }
    const fixed = inPool(place).filter((other) => other.resident.pinned() && other.resident.id !== resident.id);
    if (resident.bytes() + sumOf(fixed) > budget) {
      place.wantedAt = null;
      resident.fail(tooLarge(resident.bytes(), budget, sumOf(fixed)));
      return true;
    }
    const going = others.filter(({ phase }) => phase !== "in");
    makeRoom(place, lacking - sumOf(going));
    return false;
  }

  function makeRoom(place: Place, lacking: number): void {
    const candidates = inPool(place).filter(
      (other) =>
        other.phase === "in" && other.settled && (!other.resident.pinned() || other.resident.id === place.resident.id),
    );
    const stayed = candidates.filter(({ inSince }) => now() - inSince >= stayMsMin);
    // Least lately used first; one that works on calls only when the idle ones are not enough.
    const byUse = stayed.toSorted((a, b) => a.usedAt - b.usedAt);
    const idleFirst = [
      ...byUse.filter((each) => !each.resident.busy()),
      ...byUse.filter((each) => each.resident.busy()),
    ];
    let open = lacking;
    for (const other of idleFirst) {
      if (open <= 0) break;
      open -= other.resident.bytes();
      other.phase = "resting";
      other.resident.rest();
      leaveWhenIdle(other);
    }
    if (open <= 0) return;
    const next = candidates
      .filter(({ inSince }) => now() - inSince < stayMsMin)
      .map(({ inSince }) => inSince + stayMsMin);
    if (next.length > 0) cancel = after(Math.max(1, Math.min(...next) - now()), settle);
  }

  function take(place: Place): void {
    place.phase = "in";
    place.wantedAt = null;
    place.settled = false;
    place.inSince = now();
    place.usedAt = moment();
    onMove?.(place.resident.id, "load");
    place.resident.load();
  }

  function leaveWhenIdle(place: Place): void {
    if (place.phase !== "resting" || place.resident.busy()) return;
    place.phase = "leaving";
    onMove?.(place.resident.id, "unload");
    place.resident.unload().then(
      () => {
        place.phase = "out";
        settle();
      },
      () => {
        // It kept its memory, and serves on.
        place.phase = "in";
        place.inSince = now();
        place.resident.load();
        settle();
      },
    );
  }

  function inPool({ resident }: Place): Place[] {
    return [...places].filter((other) => other.resident !== resident && other.resident.pool() === resident.pool());
  }

  return {
    add(resident) {
      const place: Place = { resident, phase: "out", wantedAt: null, usedAt: 0, inSince: 0, settled: false };
      places.add(place);
      return {
        want() {
          if (place.phase === "in") return;
          place.wantedAt ??= moment();
          settle();
        },
        used() {
          place.usedAt = moment();
        },
        freed() {
          place.usedAt = moment();
          leaveWhenIdle(place);
        },
        settled() {
          if (place.settled) return;
          place.settled = true;
          place.inSince = now();
          settle();
        },
        found(loaded) {
          if (loaded === (place.phase !== "out")) return;
          place.phase = loaded ? "in" : "out";
          place.settled = loaded;
          place.inSince = now();
          place.usedAt = moment();
          settle();
        },
        remove() {
          places.delete(place);
          settle();
        },
      };
    },

    review() {
      for (const place of places) {
        if (place.resident.pinned() && place.phase === "out") place.wantedAt ??= moment();
      }
      settle();
    },

    stop() {
      cancel();
      places.clear();
    },
  };
}

function sumOf(places: readonly Place[]): number {
  return places.reduce((sum, { resident }) => sum + resident.bytes(), 0);
}

function tooLarge(bytes: number, budget: number, pinned: number): string {
  const beside = pinned > 0 ? `, ${inGigabytes(pinned)} GB of them for pinned models` : "";
  return `It needs about ${inGigabytes(bytes)} GB of memory, but there are ${inGigabytes(budget)} GB${beside}.`;
}

function inGigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}
