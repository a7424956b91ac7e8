// Places for work of which little may go on at the same time, taken in order of arrival.

import { ApiError } from "@oxbow/contract";

/** More than the images of any call wait for no good end. */
const WAITING_MAX = 512;

/** @param places how many there are */
export function createTurns(places: number) {
  let free = places;
  const line: { size: number; go: () => void }[] = [];
  const pump = () => {
    while (line[0] && line[0].size <= free) {
      const next = line.shift()!;
      free -= next.size;
      next.go();
    }
  };
  return {
    /** @returns what gives the places back */
    async take(size: number, signal: AbortSignal): Promise<() => void> {
      signal.throwIfAborted();
      if (line.length >= WAITING_MAX)
        throw new ApiError("queue_full", "Too many images or recordings wait already. Try again.");
      await new Promise<void>((resolve, reject) => {
        const entry = { size, go: resolve };
        line.push(entry);
        signal.addEventListener("abort", () => {
          const at = line.indexOf(entry);
          if (at < 0) return;
          line.splice(at, 1);
          reject(signal.reason);
          pump();
        });
        pump();
      });
      return () => {
        free += size;
        pump();
      };
    },
  };
}
