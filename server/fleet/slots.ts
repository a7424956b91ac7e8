// Counts the slots of one engine: what is taken is given back once, whatever becomes of the engine meanwhile.

export interface Slots {
  /** Takes one. Returns how to give it back, which works once; null when all are taken. */
  take(): (() => void) | null;
  readonly free: number;
}

/** @param onRelease called after each one given back */
export function createSlots(count: number, onRelease: () => void): Slots {
  let free = count;
  return {
    take() {
      if (free === 0) return null;
      free--;
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        free++;
        onRelease();
      };
    },
    get free() {
      return free;
    },
  };
}
