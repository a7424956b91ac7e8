// Engines that nobody calls are asked for the least they can do now and then, so that the next caller finds them warm.

import type { Replica } from "./replica.ts";
import type { Log } from "./worker.ts";

/** One token, from weights that may have to come from the disk again. */
const TOUCH_MS_MAX = 120_000;

/**
 * Whether it is pinned, and without a call for so long that the system might give its memory to others.
 * @param keepWarmMs 0: nothing is kept warm
 * @param now milliseconds, monotonic
 */
export function hasCooled({ entry, host, slots, usedAt }: Replica, keepWarmMs: number, now: number): boolean {
  const applies = keepWarmMs > 0 && entry.pinned && host.touch !== undefined && slots.taken === 0;
  return applies && now - usedAt >= keepWarmMs;
}

/** Asks it, in a slot of its own, as every call. Never rejects. */
export async function touch({ entry, host, slots }: Replica, log: Log): Promise<void> {
  const release = slots.take();
  if (release === null) return;
  try {
    await host.touch?.(AbortSignal.timeout(TOUCH_MS_MAX));
  } catch (cause) {
    // Whether it is well is found by looking at it, and by its calls.
    log.error({ engine: entry.id, err: cause }, "engine not kept warm");
  } finally {
    release();
  }
}
