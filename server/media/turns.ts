// Places for work of which little may go on at the same time. Whose work least of is going on comes first, then who came
// first; and one owner never has all places, so that who sends what takes for ever waits behind himself.

import { ApiError } from "@oxbow/contract";

/** More than the images of any call wait for no good end. */
const WAITING_MAX = 512;
const OWN_WAITING_MAX = 128;

export interface TurnsOptions {
  /** How many there are. */
  places: number;
  /** How many of them one owner may have. */
  ownPlaces: number;
}

interface Entry {
  size: number;
  owner: string | null;
  go: () => void;
}

export function createTurns({ places, ownPlaces }: TurnsOptions) {
  let free = places;
  const line: Entry[] = [];
  /** Places by owner. */
  const taken = new Map<string, number>();
  const has = (owner: string | null) => (owner === null ? 0 : (taken.get(owner) ?? 0));

  function give(owner: string | null, size: number): void {
    free -= size;
    if (owner === null) return;
    const now = has(owner) + size;
    if (now > 0) taken.set(owner, now);
    else taken.delete(owner);
  }

  function next(): Entry | undefined {
    const may = line.filter(({ owner, size }) => owner === null || has(owner) + size <= ownPlaces);
    // Of two alike the first that came: and who waits for more places than are free is not overtaken for ever.
    const first = may.reduce<Entry | undefined>(
      (one, other) => (one && has(one.owner) <= has(other.owner) ? one : other),
      undefined,
    );
    return first && first.size <= free ? first : undefined;
  }

  function pump(): void {
    for (let entry = next(); entry; entry = next()) {
      line.splice(line.indexOf(entry), 1);
      give(entry.owner, entry.size);
      entry.go();
    }
  }

  return {
    /**
     * @param owner whose work it is; null: ours, which may take all places
     * @returns what gives the places back
     * @throws ApiError `queue_full`; the signal's reason
     */
    async take(owner: string | null, size: number, signal: AbortSignal): Promise<() => void> {
      signal.throwIfAborted();
      const own = owner === null ? 0 : line.filter((entry) => entry.owner === owner).length;
      if (line.length >= WAITING_MAX || own >= OWN_WAITING_MAX)
        throw new ApiError("queue_full", "Too many images or recordings wait already. Try again.");
      await new Promise<void>((resolve, reject) => {
        const leave = () => {
          const at = line.indexOf(entry);
          if (at < 0) return;
          line.splice(at, 1);
          reject(signal.reason);
          pump();
        };
        const go = () => {
          signal.removeEventListener("abort", leave);
          resolve();
        };
        const entry: Entry = { size, owner, go };
        line.push(entry);
        signal.addEventListener("abort", leave);
        pump();
      });
      let given = false;
      return () => {
        if (given) return;
        given = true;
        give(owner, -size);
        pump();
      };
    },
  };
}
