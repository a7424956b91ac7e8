// One timer for all open streams, and one for all engines that were asked and have not begun to answer. They keep silent
// streams alive, hang up on readers that have stopped reading, and on engines that have stopped talking. One timer each would
// cost more than the rest of a chunk's way.

export interface Beat {
  /** Set whenever something was sent or received; in the clock of `now`. */
  lastMs: number;
  /** Called at every tick with the time since `lastMs`. */
  onTick(quietMs: number): void;
  /** The server ends, and what lasts until now is cut off. */
  onStop(): void;
}

export interface Pulse {
  now(): number;
  add(beat: Beat): void;
  remove(beat: Beat): void;
  /** How many there are. */
  size(): number;
  /** Tells everybody, and beats no more. */
  stop(): void;
}

/** @param tickMs how late a deadline may be noticed, at most */
export function createPulse(tickMs = 500, now: () => number = () => performance.now()): Pulse {
  const beats = new Set<Beat>();
  let timer: ReturnType<typeof setInterval> | null = null;
  const tick = () => {
    // Not when the last one leaves: the next one comes soon.
    if (beats.size === 0) rest();
    const at = now();
    for (const beat of beats) beat.onTick(at - beat.lastMs);
  };
  const rest = () => {
    if (timer) clearInterval(timer);
    timer = null;
  };
  return {
    now,
    add: (beat) => {
      beats.add(beat);
      timer ??= setInterval(tick, tickMs);
    },
    remove: (beat) => {
      beats.delete(beat);
    },
    size: () => beats.size,
    stop: () => {
      rest();
      for (const beat of beats) beat.onStop();
    },
  };
}
